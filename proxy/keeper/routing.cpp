// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/routing.hpp"

#include "proxy/keeper/numbers.hpp"
#include "proxy/kernel/netlink.hpp"

#include <algorithm>
#include <cstring>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/socket.h>

namespace manypath::keeper {

namespace {

using kernel::netlink;
using kernel::netlink_request;

std::uint8_t family_of(bool v6)
{
    return v6 ? AF_INET6 : AF_INET;
}

void put_address(nlmsghdr& message, std::uint16_t type, const ip_address& a)
{
    if (a.is_v4()) {
        const auto bytes = a.to_v4().to_bytes();
        mnl_attr_put(&message, type, bytes.size(), bytes.data());
    } else {
        const auto bytes = a.to_v6().to_bytes();
        mnl_attr_put(&message, type, bytes.size(), bytes.data());
    }
}

ip_address read_address(const nlattr& attribute)
{
    asio::ip::address_v4::bytes_type v4{};
    asio::ip::address_v6::bytes_type v6{};
    const auto* data = static_cast<const unsigned char*>(mnl_attr_get_payload(&attribute));
    if (mnl_attr_get_payload_len(&attribute) == v4.size()) {
        std::memcpy(v4.data(), data, v4.size());
        return asio::ip::make_address_v4(v4);
    }
    if (mnl_attr_get_payload_len(&attribute) == v6.size())
        std::memcpy(v6.data(), data, v6.size());
    return asio::ip::make_address_v6(v6);
}

template <typename Header>
Header& begin(netlink_request& buffer, std::uint16_t type, std::uint16_t flags)
{
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = type;
    message->nlmsg_flags = flags;
    return *static_cast<Header*>(mnl_nlmsg_put_extra_header(message, sizeof(Header)));
}

nlmsghdr& message_in(netlink_request& buffer)
{
    return *reinterpret_cast<nlmsghdr*>(buffer.data());
}

/// Sends one request on a socket of its own; `gone` are errors that mean "nothing to remove".
std::expected<void, std::string> ask(netlink_request& buffer, std::initializer_list<std::errc> gone)
{
    auto socket = netlink::open(NETLINK_ROUTE);
    if (!socket)
        return std::unexpected{socket.error().message()};
    const std::error_code failed = socket->request(message_in(buffer));
    if (!failed || std::ranges::any_of(gone, [&](std::errc e) { return failed == e; }))
        return {};
    return std::unexpected{socket->explanation().empty() ? failed.message()
                                                         : socket->explanation()};
}

void fill_rule(netlink_request& buffer, std::uint16_t type, std::uint16_t flags,
               const policy_rule& r)
{
    auto& header = begin<fib_rule_hdr>(buffer, type, flags);
    nlmsghdr& message = message_in(buffer);
    header.family = family_of(r.v6);
    header.action = FR_ACT_TO_TBL;
    mnl_attr_put_u32(&message, FRA_TABLE, r.table);
    mnl_attr_put_u32(&message, FRA_PRIORITY, r.priority);
    mnl_attr_put_u8(&message, FRA_PROTOCOL, route_protocol);
    if (r.from) {
        header.src_len = r.v6 ? 128 : 32;
        put_address(message, FRA_SRC, *r.from);
    } else {
        mnl_attr_put_u32(&message, FRA_FWMARK, intercept_mark);
        mnl_attr_put_u32(&message, FRA_FWMASK, intercept_mark);
    }
}

std::uint8_t type_of(route_kind k)
{
    switch (k) {
    case route_kind::unicast:
        return RTN_UNICAST;
    case route_kind::local:
        return RTN_LOCAL;
    case route_kind::unreachable:
        break;
    }
    return RTN_UNREACHABLE;
}

std::uint8_t scope_of(const route& r)
{
    if (r.kind == route_kind::local)
        return RT_SCOPE_HOST;
    return r.kind == route_kind::unicast && !r.gateway ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
}

void fill_route(netlink_request& buffer, std::uint16_t type, std::uint16_t flags, const route& r)
{
    auto& header = begin<rtmsg>(buffer, type, flags);
    nlmsghdr& message = message_in(buffer);
    header.rtm_family = family_of(r.to.address.is_v6());
    header.rtm_dst_len = static_cast<std::uint8_t>(r.to.length);
    header.rtm_type = type_of(r.kind);
    header.rtm_scope = scope_of(r);
    header.rtm_protocol = route_protocol;
    mnl_attr_put_u32(&message, RTA_TABLE, r.table);
    if (r.to.length != 0)
        put_address(message, RTA_DST, r.to.address);
    if (r.interface != 0)
        mnl_attr_put_u32(&message, RTA_OIF, r.interface);
    if (r.metric != 0)
        mnl_attr_put_u32(&message, RTA_PRIORITY, r.metric);
    if (r.gateway) {
        // The configuration says that this gateway is on this link; a /32 address does not.
        header.rtm_flags = RTNH_F_ONLINK;
        put_address(message, RTA_GATEWAY, *r.gateway);
    }
}

template <typename Header>
std::expected<void, std::string> dump(std::uint16_t type, const netlink::visitor& each)
{
    auto socket = netlink::open(NETLINK_ROUTE);
    if (!socket)
        return std::unexpected{socket.error().message()};
    netlink_request buffer{};
    (void)begin<Header>(buffer, type, NLM_F_DUMP);
    if (const auto failed = socket->request(message_in(buffer), each))
        return std::unexpected{failed.message()};
    return {};
}

link read_link(const nlmsghdr& message)
{
    const auto& header = *static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
    link l{.index = static_cast<std::uint32_t>(header.ifi_index),
           .name = {},
           .up = (header.ifi_flags & IFF_UP) != 0};
    kernel::visit_attributes(message, sizeof header, [&](const nlattr& attribute) {
        if (mnl_attr_get_type(&attribute) == IFLA_IFNAME)
            l.name = mnl_attr_get_str(&attribute);
    });
    return l;
}

link_address read_link_address(const nlmsghdr& message)
{
    const auto& header = *static_cast<const ifaddrmsg*>(mnl_nlmsg_get_payload(&message));
    link_address a{.interface = header.ifa_index, .address = {}};
    std::uint32_t flags = header.ifa_flags;
    bool local = false;
    kernel::visit_attributes(message, sizeof header, [&](const nlattr& attribute) {
        const auto type = mnl_attr_get_type(&attribute);
        // On a point-to-point link IFA_ADDRESS is the peer's address and IFA_LOCAL our own.
        if (type == IFA_LOCAL || (type == IFA_ADDRESS && !local))
            a.address = read_address(attribute);
        local = local || type == IFA_LOCAL;
        if (type == IFA_FLAGS)
            flags = mnl_attr_get_u32(&attribute);
    });
    constexpr std::uint32_t unusable =
        IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED | IFA_F_TEMPORARY;
    // On IPv4 the bit of IFA_F_TEMPORARY means "secondary", which is as good as any.
    const std::uint32_t bad = header.ifa_family == AF_INET6 ? unusable : 0;
    a.usable = header.ifa_scope == RT_SCOPE_UNIVERSE && (flags & bad) == 0;
    return a;
}

/// @return nothing for what no path table could take over
std::optional<route> read_main_route(const nlmsghdr& message)
{
    const auto& header = *static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
    const bool v6 = header.rtm_family == AF_INET6;
    if (header.rtm_type != RTN_UNICAST || (!v6 && header.rtm_family != AF_INET))
        return std::nullopt;
    if ((header.rtm_flags & RTM_F_CLONED) != 0)
        return std::nullopt;
    route r{.table = header.rtm_table, .to = {}, .gateway = std::nullopt};
    r.to.length = header.rtm_dst_len;
    r.to.address = v6 ? ip_address{asio::ip::address_v6{}} : ip_address{asio::ip::address_v4{}};
    kernel::visit_attributes(message, sizeof header, [&](const nlattr& attribute) {
        switch (mnl_attr_get_type(&attribute)) {
        case RTA_TABLE:
            r.table = mnl_attr_get_u32(&attribute);
            break;
        case RTA_DST:
            r.to.address = read_address(attribute);
            break;
        case RTA_GATEWAY:
            r.gateway = read_address(attribute);
            break;
        case RTA_OIF:
            r.interface = mnl_attr_get_u32(&attribute);
            break;
        case RTA_PRIORITY:
            r.metric = mnl_attr_get_u32(&attribute);
            break;
        default:
            break;
        }
    });
    if (r.table != RT_TABLE_MAIN || r.interface == 0)
        return std::nullopt;
    return r;
}

} // namespace

std::expected<void, std::string> add(const policy_rule& r)
{
    netlink_request buffer{};
    fill_rule(buffer, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, r);
    return ask(buffer, {});
}

std::expected<void, std::string> add(const route& r)
{
    netlink_request buffer{};
    fill_route(buffer, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, r);
    return ask(buffer, {});
}

std::expected<void, std::string> remove(const policy_rule& r)
{
    netlink_request buffer{};
    fill_rule(buffer, RTM_DELRULE, 0, r);
    return ask(buffer, {std::errc::no_such_file_or_directory});
}

std::expected<void, std::string> remove(const route& r)
{
    netlink_request buffer{};
    fill_route(buffer, RTM_DELROUTE, 0, r);
    return ask(buffer, {std::errc::no_such_process, std::errc::no_such_device});
}

const link* network_state::find_link(std::string_view name) const
{
    const auto found = std::ranges::find(links, name, &link::name);
    return found == links.end() ? nullptr : &*found;
}

std::expected<network_state, std::string> observe_network()
{
    network_state state;
    auto seen = dump<ifinfomsg>(RTM_GETLINK,
                                [&](const nlmsghdr& m) { state.links.push_back(read_link(m)); });
    if (seen)
        seen = dump<ifaddrmsg>(RTM_GETADDR, [&](const nlmsghdr& m) {
            state.addresses.push_back(read_link_address(m));
        });
    if (seen)
        seen = dump<rtmsg>(RTM_GETROUTE, [&](const nlmsghdr& m) {
            if (auto r = read_main_route(m))
                state.main_routes.push_back(std::move(*r));
        });
    if (!seen)
        return std::unexpected{seen.error()};
    return state;
}

} // namespace manypath::keeper
