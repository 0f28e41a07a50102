// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/check/routes.hpp"

#include "proxy/kernel/netlink.hpp"

#include <cstring>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

namespace manypath::launcher {

namespace {

void put_address(nlmsghdr* message, std::uint16_t type, const ip_address& address)
{
    std::visit([&](const auto& a) { mnl_attr_put(message, type, sizeof a, &a); }, address);
}

std::uint8_t prefix_bits(const ip_address& address)
{
    return family_of(address) == AF_INET ? 32 : 128;
}

std::string address_text(const nlattr& attribute)
{
    if (mnl_attr_get_payload_len(&attribute) == sizeof(in_addr)) {
        in_addr v4{};
        std::memcpy(&v4, mnl_attr_get_payload(&attribute), sizeof v4);
        return to_text(v4);
    }
    in6_addr v6{};
    if (mnl_attr_get_payload_len(&attribute) == sizeof v6)
        std::memcpy(&v6, mnl_attr_get_payload(&attribute), sizeof v6);
    return to_text(v6);
}

struct route_reply {
    std::uint8_t type = RTN_UNSPEC;
    std::uint8_t destination_bits = 0;
    route_answer answer;
};

route_reply read_reply(const nlmsghdr& message)
{
    route_reply reply;
    if (mnl_nlmsg_get_payload_len(&message) < sizeof(rtmsg))
        return reply;
    const auto* route = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
    reply.type = route->rtm_type;
    reply.answer.local = route->rtm_type == RTN_LOCAL;
    reply.destination_bits = route->rtm_dst_len;
    kernel::visit_attributes(message, sizeof(rtmsg), [&](const nlattr& attribute) {
        const auto type = mnl_attr_get_type(&attribute);
        if (type == RTA_OIF)
            reply.answer.interface = mnl_attr_get_u32(&attribute);
        else if (type == RTA_GATEWAY)
            reply.answer.gateway = address_text(attribute);
    });
    return reply;
}

/// @param flags  RTM_F_FIB_MATCH, or 0
std::optional<route_reply> ask(const route_question& question, std::uint32_t flags)
{
    auto bus = kernel::netlink::open(NETLINK_ROUTE);
    if (!bus)
        return {};
    alignas(nlmsghdr) kernel::netlink_request buffer{};
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = RTM_GETROUTE;
    auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
    route->rtm_family = static_cast<std::uint8_t>(family_of(question.destination));
    route->rtm_dst_len = prefix_bits(question.destination);
    route->rtm_src_len = question.source ? prefix_bits(*question.source) : std::uint8_t{0};
    route->rtm_flags = flags;
    put_address(message, RTA_DST, question.destination);
    if (question.source)
        put_address(message, RTA_SRC, *question.source);
    if (question.interface != 0)
        mnl_attr_put_u32(message, RTA_OIF, question.interface);
    route_reply reply;
    if (bus->request(*message, [&](const nlmsghdr& m) { reply = read_reply(m); }))
        return {};
    // What is blackholed or prohibited leads nowhere.
    if (reply.type != RTN_UNICAST && reply.type != RTN_LOCAL)
        return {};
    return reply;
}

} // namespace

route_answer ask_route(const route_question& question)
{
    const auto reply = ask(question, 0);
    if (!reply || (question.interface != 0 && !ask(question, RTM_F_FIB_MATCH)))
        return {};
    return reply->answer;
}

std::map<std::uint32_t, std::string> default_gateways(int family)
{
    std::map<std::uint32_t, std::string> gateways;
    auto bus = kernel::netlink::open(NETLINK_ROUTE);
    if (!bus)
        return gateways;
    alignas(nlmsghdr) kernel::netlink_request buffer{};
    nlmsghdr* message = mnl_nlmsg_put_header(buffer.data());
    message->nlmsg_type = RTM_GETROUTE;
    message->nlmsg_flags = NLM_F_DUMP;
    auto* route = static_cast<rtmsg*>(mnl_nlmsg_put_extra_header(message, sizeof(rtmsg)));
    route->rtm_family = static_cast<std::uint8_t>(family);
    (void)bus->request(*message, [&](const nlmsghdr& m) {
        const route_reply reply = read_reply(m);
        if (reply.type == RTN_UNICAST && reply.destination_bits == 0 &&
            !reply.answer.gateway.empty())
            gateways.emplace(reply.answer.interface, reply.answer.gateway);
    });
    return gateways;
}

} // namespace manypath::launcher
