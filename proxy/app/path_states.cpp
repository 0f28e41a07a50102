// SPDX-License-Identifier: Apache-2.0
#include "proxy/app/path_states.hpp"

#include <algorithm>
#include <cstring>
#include <ifaddrs.h>
#include <memory>
#include <net/if.h>
#include <utility>

namespace manypath {

namespace {

struct interface_address {
    std::string interface;
    asio::ip::address address;
};

/// The addresses of interfaces that are up and have a carrier.
std::vector<interface_address> usable_addresses()
{
    std::vector<interface_address> found;
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0)
        return found;
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner{list, ::freeifaddrs};
    constexpr unsigned usable = IFF_UP | IFF_RUNNING;
    for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
        if (at->ifa_addr == nullptr || (at->ifa_flags & usable) != usable)
            continue;
        endpoint address;
        if (at->ifa_addr->sa_family == AF_INET)
            std::memcpy(address.data(), at->ifa_addr, sizeof(sockaddr_in));
        else if (at->ifa_addr->sa_family == AF_INET6)
            std::memcpy(address.data(), at->ifa_addr, sizeof(sockaddr_in6));
        else
            continue;
        found.push_back({at->ifa_name, address.address()});
    }
    return found;
}

bool is_global(const asio::ip::address& address)
{
    return !address.is_loopback() && !(address.is_v6() && address.to_v6().is_link_local());
}

control::path_state state_of(const config::path& path, const std::vector<interface_address>& usable)
{
    control::path_state state;
    state.name = path.name;
    state.interface = path.interface;
    state.addresses = path.addresses;
    state.flags = path.flags;
    for (const auto& [interface, address] : usable) {
        if (interface != path.interface)
            continue;
        const auto& wanted = path.addresses;
        if (wanted.empty() && is_global(address))
            state.addresses.push_back(address);
        state.up = state.up || std::find(state.addresses.begin(), state.addresses.end(), address) !=
                                   state.addresses.end();
    }
    return state;
}

void add_subflows(control::path_state& to, const connection_info& side)
{
    for (const auto& flow : side.subflows) {
        const auto& mine = to.addresses;
        if (std::find(mine.begin(), mine.end(), unmapped(flow.local.address())) == mine.end())
            continue;
        ++to.subflows;
        to.sent_bytes += flow.sent_bytes;
        to.received_bytes += flow.received_bytes;
    }
}

} // namespace

std::vector<control::path_state>
path_states(const std::vector<config::path>& paths,
            const std::vector<control::connection_state>& connections)
{
    const auto usable = usable_addresses();
    std::vector<control::path_state> states;
    for (const auto& path : paths) {
        auto state = state_of(path, usable);
        for (const auto& connection : connections) {
            add_subflows(state, connection.client_side);
            add_subflows(state, connection.server_side);
        }
        states.push_back(std::move(state));
    }
    return states;
}

} // namespace manypath
