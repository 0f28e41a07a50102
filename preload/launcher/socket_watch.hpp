// socket_watch.hpp: the state of all MPTCP sockets of this network namespace.
//
// The kernel's socket diagnosis needs no privilege and no help of the process that owns the
// socket; it has to be polled, because it reports the end of a socket for TCP only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/kernel/netlink.hpp"

#include <cstdint>
#include <expected>
#include <span>
#include <system_error>
#include <unordered_map>

namespace manypath::launcher {

struct socket_sight {
    std::uint32_t subflows = 0; ///< most seen at one time
    bool fallback = false;
};

/// Reads MPTCP_INFO as the running kernel writes it, which may be longer or shorter than ours.
/// @return nothing there (no subflows, no fallback) if it is too short
[[nodiscard]] socket_sight read_mptcp_info(std::span<const std::byte> info);

class socket_watch {
public:
    [[nodiscard]] static std::expected<socket_watch, std::error_code> open();

    /// Takes one look. A refused or torn dump changes nothing.
    void look();

    /// @return what was seen of the socket with this SO_COOKIE, so far
    [[nodiscard]] socket_sight seen(std::uint64_t cookie) const;

private:
    explicit socket_watch(kernel::netlink bus) : bus_(std::move(bus)) {}

    kernel::netlink bus_;
    std::unordered_map<std::uint64_t, socket_sight> sockets_;
};

} // namespace manypath::launcher
