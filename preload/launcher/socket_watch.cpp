// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/socket_watch.hpp"

#include "common/base/mptcp_abi.hpp"

#include <algorithm>
#include <cstring>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace manypath::launcher {

namespace {

// Offsets in struct mptcp_info; the kernel appends fields and moves none.
constexpr std::size_t extra_subflows_at = 0; ///< without the first one
constexpr std::size_t flags_at = 8;
constexpr std::size_t total_subflows_at = 80; ///< Linux 6.10

/// `sdiag_protocol` has one byte; the real number then stands in an attribute.
constexpr std::uint8_t protocol_in_attribute = 255;

/// Sockets remembered; a program that opens more in one run gets the first ones right.
constexpr std::size_t max_sockets = 100'000;

void note_socket(const nlmsghdr& message, std::unordered_map<std::uint64_t, socket_sight>& sockets)
{
    if (mnl_nlmsg_get_payload_len(&message) < sizeof(inet_diag_msg))
        return;
    const auto* diag = static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(&message));
    const std::uint64_t cookie =
        std::uint64_t{diag->id.idiag_cookie[1]} << 32 | diag->id.idiag_cookie[0];
    kernel::visit_attributes(message, sizeof(inet_diag_msg), [&](const nlattr& attribute) {
        if (mnl_attr_get_type(&attribute) != INET_DIAG_INFO)
            return;
        if (sockets.size() >= max_sockets && !sockets.contains(cookie))
            return;
        const auto* info = static_cast<const std::byte*>(mnl_attr_get_payload(&attribute));
        const socket_sight now = read_mptcp_info({info, mnl_attr_get_payload_len(&attribute)});
        socket_sight& sight = sockets[cookie];
        sight.subflows = std::max(sight.subflows, now.subflows);
        sight.fallback = sight.fallback || now.fallback;
    });
}

} // namespace

socket_sight read_mptcp_info(std::span<const std::byte> info)
{
    socket_sight sight;
    std::uint32_t flags = 0;
    if (info.size() < flags_at + sizeof flags)
        return sight;
    std::memcpy(&flags, info.data() + flags_at, sizeof flags);
    sight.fallback = (flags & abi::info_flag_fallback) != 0;
    if (info.size() > total_subflows_at)
        sight.subflows = std::to_integer<std::uint32_t>(info[total_subflows_at]);
    else if ((flags & abi::info_flag_remote_key) != 0)
        sight.subflows = std::to_integer<std::uint32_t>(info[extra_subflows_at]) + 1;
    return sight;
}

std::expected<socket_watch, std::error_code> socket_watch::open()
{
    auto bus = kernel::netlink::open(NETLINK_SOCK_DIAG);
    if (!bus)
        return std::unexpected{bus.error()};
    return socket_watch{*std::move(bus)};
}

void socket_watch::look()
{
    for (const int family : {AF_INET, AF_INET6}) {
        alignas(nlmsghdr) kernel::netlink_request buffer{};
        nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
        message->nlmsg_type = SOCK_DIAG_BY_FAMILY;
        message->nlmsg_flags = NLM_F_DUMP;
        auto* request = static_cast<inet_diag_req_v2*>(
            mnl_nlmsg_put_extra_header(message, sizeof(inet_diag_req_v2)));
        request->sdiag_family = static_cast<std::uint8_t>(family);
        request->sdiag_protocol = protocol_in_attribute;
        request->idiag_ext = 1U << (INET_DIAG_INFO - 1);
        request->idiag_states = ~0U;
        mnl_attr_put_u32(message, INET_DIAG_REQ_PROTOCOL, abi::ipproto_mptcp);
        (void)bus_.request(*message, [&](const nlmsghdr& m) { note_socket(m, sockets_); });
    }
}

socket_sight socket_watch::seen(std::uint64_t cookie) const
{
    const auto found = sockets_.find(cookie);
    return found == sockets_.end() ? socket_sight{} : found->second;
}

} // namespace manypath::launcher
