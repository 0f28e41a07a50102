// connect.hpp: `manypath connect`, for OpenSSH's ProxyCommand and ProxyUseFdpass.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/launcher/dial.hpp"

#include <system_error>

namespace manypath::launcher {

struct connect_options {
    dial_target target;
    bool pass_descriptor = false; ///< hand the connected socket over instead of relaying
};

/// Connects standard input and output, or what receives the descriptor, to the target.
/// @return the exit status for main(): 0 after a clean end of the stream
[[nodiscard]] int connect(const connect_options& options);

/// Copies `in` to `socket` and `socket` to `out`. The end of one direction is passed on at once and
/// leaves the other one open; returns when both have ended, or `socket` is gone.
/// @return the first error of the socket
[[nodiscard]] std::error_code relay_descriptors(int in, int out, int socket);

/// Sends `fd` over a Unix socket with the single byte that OpenSSH expects.
[[nodiscard]] std::error_code pass_descriptor(int unix_socket, int fd);

} // namespace manypath::launcher
