// mptcp_socket.hpp: what a kernel socket can be asked about MPTCP.
//
// Plain descriptors and no event loop, because the launcher uses it as well.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <sys/socket.h>
#include <system_error>
#include <vector>

namespace manypath::kernel {

/// Opens a non-blocking, close-on-exec MPTCP socket.
/// @param family  AF_INET or AF_INET6
/// @return the errno of socket(2); see refuses_mptcp()
[[nodiscard]] std::expected<int, std::error_code> open_mptcp_socket(int family);

/// Whether an error of open_mptcp_socket() says "this kernel will not": too old (EINVAL), not
/// built (EPROTONOSUPPORT), net.mptcp.enabled=0 (ENOPROTOOPT) or forbidden (EPERM, EACCES).
[[nodiscard]] bool refuses_mptcp(const std::error_code& error) noexcept;

struct subflow_status {
    sockaddr_storage local{};
    sockaddr_storage remote{};
    std::uint64_t bytes_acked = 0; ///< sent and acknowledged
    std::uint64_t bytes_received = 0;
    std::uint32_t round_trip_us = 0;
};

struct mptcp_status {
    bool opened_as_mptcp = false; ///< SO_PROTOCOL says 262
    bool speaks_mptcp = false;    ///< false after a fallback
    std::uint32_t token = 0;
    std::vector<subflow_status> subflows; ///< alive now; empty for TCP
};

/// @param fd  a connected stream socket, TCP or MPTCP
/// @return everything false and empty for any other descriptor
[[nodiscard]] mptcp_status query_mptcp(int fd);

} // namespace manypath::kernel
