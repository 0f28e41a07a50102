// loopback.hpp: plain sockets over loopback, the other end of what a test examines.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/unique_fd.hpp"
#include "proxy/transport/connection_info.hpp"

#include <vector>

namespace manypath::test {

/// All sockets are blocking and close-on-exec; every failure throws std::system_error.

/// @return a listening socket at a free port of 127.0.0.1 or ::1
[[nodiscard]] unique_fd listen_on_loopback(protocol speak, int family);

/// @return a socket connected to `listener`, which has not accepted it yet
[[nodiscard]] unique_fd connect_to(int listener, protocol speak);

[[nodiscard]] unique_fd accept_from(int listener);

/// Connects to `listener` until further attempts get no answer.
/// @return the connections that fill its backlog
[[nodiscard]] std::vector<unique_fd> fill_backlog(int listener);

} // namespace manypath::test
