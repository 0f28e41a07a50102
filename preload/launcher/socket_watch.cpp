// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/socket_watch.hpp"

#include "common/base/mptcp_abi.hpp"

#include <algorithm>
#include <cstring>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <optional>
#include <sys/socket.h>

namespace manypath::launcher {

namespace {

// Offsets in struct mptcp_info; the kernel appends fields and moves none.
constexpr std::size_t extra_subflows_at = 0;
constexpr std::size_t flags_at = 8;
constexpr std::size_t token_at = 12;

/// Number of the attribute, MPTCP_SUBFLOW_ATTR_TOKEN_LOC in <linux/mptcp.h>.
constexpr std::uint16_t subflow_token_local = 2;

/// `sdiag_protocol` has one byte; a larger number then stands in an attribute.
constexpr std::uint8_t protocol_in_attribute = 255;

/// Sockets remembered; a program that opens more in one run gets the first ones right.
constexpr std::size_t max_sockets = 100'000;

const inet_diag_msg* head_of(const nlmsghdr& message)
{
    if (mnl_nlmsg_get_payload_len(&message) < sizeof(inet_diag_msg))
        return nullptr;
    return static_cast<const inet_diag_msg*>(mnl_nlmsg_get_payload(&message));
}

std::uint64_t cookie_of(const inet_diag_msg& diag)
{
    return std::uint64_t{diag.id.idiag_cookie[1]} << 32 | diag.id.idiag_cookie[0];
}

bool is_established(const inet_diag_msg& diag)
{
    return diag.idiag_state != TCP_SYN_SENT && diag.idiag_state != TCP_SYN_RECV &&
           diag.idiag_state != TCP_CLOSE && diag.idiag_state != TCP_LISTEN;
}

std::uint32_t read_u32(std::span<const std::byte> bytes, std::size_t at)
{
    std::uint32_t value = 0;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

std::optional<mptcp_info_head> info_of(const nlmsghdr& message)
{
    std::optional<mptcp_info_head> head;
    if (head_of(message) == nullptr)
        return head;
    kernel::visit_attributes(message, sizeof(inet_diag_msg), [&](const nlattr& attribute) {
        if (mnl_attr_get_type(&attribute) != INET_DIAG_INFO)
            return;
        const auto* info = static_cast<const std::byte*>(mnl_attr_get_payload(&attribute));
        head = read_mptcp_info({info, mnl_attr_get_payload_len(&attribute)});
    });
    return head;
}

/// The token of the connection that a TCP socket is a subflow of.
std::optional<std::uint32_t> token_of_subflow(const nlmsghdr& message)
{
    std::optional<std::uint32_t> token;
    const auto read_mptcp = [&](const nlattr& attribute) {
        if (mnl_attr_get_type(&attribute) == subflow_token_local)
            token = mnl_attr_get_u32(&attribute);
    };
    const auto read_protocol = [&](const nlattr& attribute) {
        if (mnl_attr_get_type(&attribute) == INET_ULP_INFO_MPTCP)
            kernel::visit_attributes(attribute, read_mptcp);
    };
    kernel::visit_attributes(message, sizeof(inet_diag_msg), [&](const nlattr& attribute) {
        if (mnl_attr_get_type(&attribute) == INET_DIAG_ULP_INFO)
            kernel::visit_attributes(attribute, read_protocol);
    });
    return token;
}

} // namespace

mptcp_info_head read_mptcp_info(std::span<const std::byte> info)
{
    mptcp_info_head head;
    if (info.size() < token_at + sizeof head.token)
        return head;
    const std::uint32_t flags = read_u32(info, flags_at);
    head.token = read_u32(info, token_at);
    head.fallback = (flags & abi::info_flag_fallback) != 0;
    head.connected = (flags & abi::info_flag_remote_key) != 0 && !head.fallback;
    head.has_more = info[extra_subflows_at] != std::byte{};
    return head;
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
    uncounted_.clear();
    const auto note_socket = [this](const nlmsghdr& message) {
        if (const auto info = info_of(message))
            note(cookie_of(*head_of(message)), *info);
    };
    for (const int family : {AF_INET, AF_INET6})
        dump(family, abi::ipproto_mptcp, note_socket);
    if (!uncounted_.empty())
        count_subflows();
}

void socket_watch::note(std::uint64_t cookie, const mptcp_info_head& info)
{
    if (sockets_.size() >= max_sockets && !sockets_.contains(cookie))
        return;
    socket_sight& sight = sockets_[cookie];
    sight.fallback = sight.fallback || info.fallback;
    if (!info.connected)
        return;
    sight.subflows = std::max(sight.subflows, 1U);
    if (info.has_more)
        uncounted_.emplace(info.token, cookie);
}

// MPTCP_INFO counts a subflow from its first SYN on; only TCP knows whether it was answered.
void socket_watch::count_subflows()
{
    std::unordered_map<std::uint64_t, std::uint32_t> counts;
    for (const int family : {AF_INET, AF_INET6}) {
        dump(family, IPPROTO_TCP, [&](const nlmsghdr& message) {
            const inet_diag_msg* diag = head_of(message);
            if (diag == nullptr || !is_established(*diag))
                return;
            const auto token = token_of_subflow(message);
            if (!token)
                return;
            if (const auto found = uncounted_.find(*token); found != uncounted_.end())
                ++counts[found->second];
        });
    }
    for (const auto& [cookie, count] : counts) {
        socket_sight& sight = sockets_[cookie];
        sight.subflows = std::max(sight.subflows, count);
    }
}

void socket_watch::dump(int family, std::uint32_t protocol, const kernel::netlink::visitor& each)
{
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
    mnl_attr_put_u32(message, INET_DIAG_REQ_PROTOCOL, protocol);
    (void)bus_.request(*message, each);
}

socket_sight socket_watch::seen(std::uint64_t cookie) const
{
    const auto found = sockets_.find(cookie);
    return found == sockets_.end() ? socket_sight{} : found->second;
}

} // namespace manypath::launcher
