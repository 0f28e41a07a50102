// connection.hpp: asks the kernel what became of an MPTCP socket.
//
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "preload/report.hpp"

namespace manypath::preload {

struct connection_state {
    report::verdict verdict = report::verdict::unconnected;
    std::uint32_t subflows = 0; ///< at this moment, the first one included; 0 unless multipath
};

[[nodiscard]] bool is_connected(int fd);

/// @param fd  a socket for which is_mptcp_socket() holds; SO_PROTOCOL keeps saying so when the
///            connection is plain TCP, so that is found out here
[[nodiscard]] connection_state look_at(int fd);

} // namespace manypath::preload
