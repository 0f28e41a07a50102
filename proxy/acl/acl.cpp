// SPDX-License-Identifier: Apache-2.0
#include "proxy/acl/acl.hpp"

#include <algorithm>
#include <cstring>
#include <ifaddrs.h>
#include <memory>

namespace manypath {

namespace {

bool names_destinations(config::listen_mode mode)
{
    return mode == config::listen_mode::socks5 || mode == config::listen_mode::http_connect;
}

asio::ip::address to_address(const sockaddr& from)
{
    endpoint at;
    if (from.sa_family == AF_INET)
        std::memcpy(at.data(), &from, sizeof(sockaddr_in));
    else
        std::memcpy(at.data(), &from, sizeof(sockaddr_in6));
    return at.address();
}

/// Without the scope: getifaddrs gives one to link-local addresses, a destination may have none.
bool same_address(const asio::ip::address& a, const asio::ip::address& b)
{
    if (a.is_v6() && b.is_v6())
        return a.to_v6().to_bytes() == b.to_v6().to_bytes();
    return a == b;
}

std::vector<asio::ip::address> host_addresses()
{
    std::vector<asio::ip::address> found;
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0)
        return found;
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner{list, ::freeifaddrs};
    for (const ifaddrs* at = list; at != nullptr; at = at->ifa_next) {
        if (at->ifa_addr != nullptr &&
            (at->ifa_addr->sa_family == AF_INET || at->ifa_addr->sa_family == AF_INET6))
            found.push_back(to_address(*at->ifa_addr));
    }
    return found;
}

} // namespace

bool admits(const config::listen& listener, const asio::ip::address& client)
{
    const auto address = unmapped(client);
    if (listener.allow.empty())
        return !names_destinations(listener.mode) || address.is_loopback();
    return std::any_of(listener.allow.begin(), listener.allow.end(),
                       [&address](const config::prefix& p) { return p.contains(address); });
}

own_listeners::own_listeners(const std::vector<config::listen>& all)
{
    for (const auto& listener : all) {
        for (const auto& at : listener.addresses)
            addresses_.push_back(unmapped(at));
    }
}

bool own_listeners::is_of_this_host(const asio::ip::address& address) const
{
    if (address.is_loopback() || address.is_unspecified())
        return true;
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock{mutex_};
    if (now >= host_until_) {
        host_ = host_addresses();
        host_until_ = now + std::chrono::seconds{1};
    }
    return std::any_of(host_.begin(), host_.end(), [&address](const asio::ip::address& own) {
        return same_address(own, address);
    });
}

bool own_listeners::include(const endpoint& to) const
{
    const endpoint at = unmapped(to);
    return std::any_of(addresses_.begin(), addresses_.end(), [this, &at](const endpoint& own) {
        if (own.port() != at.port())
            return false;
        if (same_address(own.address(), at.address()))
            return true;
        // Connecting to 0.0.0.0 or :: reaches this host as well.
        if (at.address().is_unspecified())
            return true;
        return own.address().is_unspecified() && is_of_this_host(at.address());
    });
}

} // namespace manypath
