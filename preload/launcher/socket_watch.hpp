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
    std::uint32_t subflows = 0; ///< most seen established at one time
    bool fallback = false;
};

/// What we read from MPTCP_INFO, which the running kernel may write longer or shorter than ours.
struct mptcp_info_head {
    std::uint32_t token = 0;
    bool connected = false; ///< with a peer that speaks MPTCP
    bool fallback = false;
    bool has_more = false; ///< subflows beyond the first, established or not
};

/// @return everything zero and false if `info` is too short
[[nodiscard]] mptcp_info_head read_mptcp_info(std::span<const std::byte> info);

class socket_watch {
public:
    [[nodiscard]] static std::expected<socket_watch, std::error_code> open();

    /// Takes one look. A refused or torn dump changes nothing.
    void look();

    /// @return what was seen of the socket with this SO_COOKIE, so far
    [[nodiscard]] socket_sight seen(std::uint64_t cookie) const;

private:
    explicit socket_watch(kernel::netlink bus) : bus_(std::move(bus)) {}

    void dump(int family, std::uint32_t protocol, const kernel::netlink::visitor& each);
    void note(std::uint64_t cookie, const mptcp_info_head& info);
    void count_subflows();

    kernel::netlink bus_;
    std::unordered_map<std::uint64_t, socket_sight> sockets_; ///< by cookie
    /// Connections of the current look whose subflows have to be counted: token to cookie.
    std::unordered_map<std::uint32_t, std::uint64_t> uncounted_;
};

} // namespace manypath::launcher
