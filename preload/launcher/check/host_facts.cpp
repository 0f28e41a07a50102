// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/check/host_facts.hpp"

#include "preload/launcher/check/routes.hpp"
#include "proxy/async/unique_fd.hpp"
#include "proxy/kernel/mptcp_socket.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <ifaddrs.h>
#include <memory>
#include <net/if.h>
#include <sys/utsname.h>

namespace manypath::launcher {

namespace {

using sysctl_map = std::map<std::string, std::string, std::less<>>;

// Stand for "anywhere else" when routes are asked without a target; nothing is sent there.
constexpr const char* far_v4 = "203.0.113.1";
constexpr const char* far_v6 = "2001:db8:ffff::1";

std::optional<int> mptcp_refusal(int family)
{
    const auto fd = kernel::open_mptcp_socket(family);
    if (!fd)
        return fd.error().value();
    const unique_fd closed_at_once{*fd};
    return {};
}

void read_sysctl(sysctl_map& to, const std::string& name)
{
    std::string path = name;
    std::ranges::replace(path, '.', '/');
    std::ifstream file{"/proc/sys/" + path};
    if (std::string value; std::getline(file, value))
        to.emplace(name, value);
}

sysctl_map read_sysctls()
{
    sysctl_map values;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator{"/proc/sys/net/mptcp", error})
        read_sysctl(values, "net.mptcp." + entry.path().filename().string());
    read_sysctl(values, "net.ipv4.tcp_congestion_control");
    return values;
}

int rp_filter_of(const std::string& interface)
{
    int strongest = 0;
    for (const std::string& name : {std::string{"all"}, interface}) {
        std::ifstream file{"/proc/sys/net/ipv4/conf/" + name + "/rp_filter"};
        if (int value = 0; file >> value)
            strongest = std::max(strongest, value);
    }
    return strongest;
}

std::optional<ip_address> address_of(const sockaddr* address)
{
    if (address == nullptr)
        return {};
    if (address->sa_family == AF_INET) {
        sockaddr_in v4{};
        std::memcpy(&v4, address, sizeof v4);
        if ((ntohl(v4.sin_addr.s_addr) >> 16) == 0xa9fe) // 169.254.0.0/16 is link-local
            return {};
        return v4.sin_addr;
    }
    if (address->sa_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, address, sizeof v6);
        if (IN6_IS_ADDR_LINKLOCAL(&v6.sin6_addr))
            return {};
        return v6.sin6_addr;
    }
    return {};
}

std::vector<path_facts> list_addresses()
{
    std::vector<path_facts> paths;
    ifaddrs* list = nullptr;
    if (::getifaddrs(&list) != 0)
        return paths;
    const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner{list, ::freeifaddrs};
    for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
        const auto address = address_of(entry->ifa_addr);
        if (!address || (entry->ifa_flags & IFF_LOOPBACK) != 0)
            continue;
        path_facts path;
        path.interface = entry->ifa_name;
        path.index = ::if_nametoindex(entry->ifa_name);
        path.address = *address;
        path.up = (entry->ifa_flags & (IFF_UP | IFF_RUNNING)) == (IFF_UP | IFF_RUNNING);
        paths.push_back(std::move(path));
    }
    return paths;
}

std::string interface_name(std::uint32_t index)
{
    char name[IF_NAMESIZE] = "";
    return ::if_indextoname(index, name) != nullptr ? name : "";
}

void ask_routes(path_facts& path, const ip_address& destination)
{
    path.first = ask_route({.destination = destination, .source{}}).interface == path.index;
    path.by_source = ask_route({destination, path.address});
    path.by_source_interface = interface_name(path.by_source.interface);
    path.through = ask_route({destination, path.address, path.index});
}

ip_address parse_address(int family, const char* text)
{
    if (family == AF_INET) {
        in_addr v4{};
        ::inet_pton(AF_INET, text, &v4);
        return v4;
    }
    in6_addr v6{};
    ::inet_pton(AF_INET6, text, &v6);
    return v6;
}

std::vector<path_facts> collect_paths(const std::optional<ip_address>& destination)
{
    auto paths = list_addresses();
    if (destination) {
        const int family = family_of(*destination);
        std::erase_if(paths, [&](const path_facts& p) { return family_of(p.address) != family; });
    }
    const auto gateways_v4 = default_gateways(AF_INET);
    const auto gateways_v6 = default_gateways(AF_INET6);
    for (path_facts& path : paths) {
        const int family = family_of(path.address);
        const char* far = family == AF_INET ? far_v4 : far_v6;
        ask_routes(path, destination ? *destination : parse_address(family, far));
        const auto& gateways = family == AF_INET ? gateways_v4 : gateways_v6;
        if (const auto found = gateways.find(path.index); found != gateways.end())
            path.known_gateway = found->second;
        if (family == AF_INET)
            path.rp_filter = rp_filter_of(path.interface);
    }
    return paths;
}

void ask_path_manager(host_facts& facts)
{
    auto manager = kernel::path_manager::open();
    if (!manager) {
        facts.endpoints_error = manager.error().value();
        return;
    }
    if (auto endpoints = manager->endpoints())
        facts.endpoints = *std::move(endpoints);
    else
        facts.endpoints_error = endpoints.error().value();
    if (const auto limits = manager->limits())
        facts.limits = *limits;
}

} // namespace

std::string to_text(const ip_address& address)
{
    char text[INET6_ADDRSTRLEN] = "?";
    std::visit([&](const auto& a) { ::inet_ntop(family_of(a), &a, text, sizeof text); }, address);
    return text;
}

bool equal(const ip_address& a, const ip_address& b)
{
    return to_text(a) == to_text(b);
}

int family_of(const ip_address& address)
{
    return std::holds_alternative<in_addr>(address) ? AF_INET : AF_INET6;
}

host_facts collect_host_facts(const std::optional<ip_address>& destination)
{
    host_facts facts;
    utsname system{};
    if (::uname(&system) == 0)
        facts.release = system.release;
    facts.refused_v4 = mptcp_refusal(AF_INET);
    facts.refused_v6 = mptcp_refusal(AF_INET6);
    facts.sysctls = read_sysctls();
    facts.counters = read_counters();
    ask_path_manager(facts);
    facts.paths = collect_paths(destination);
    facts.family = destination ? family_of(*destination) : AF_UNSPEC;
    facts.target_is_here = std::ranges::any_of(
        facts.paths, [](const path_facts& path) { return path.by_source.local; });
    return facts;
}

std::string_view sysctl_of(const host_facts& facts, std::string_view name)
{
    const auto found = facts.sysctls.find(name);
    return found == facts.sysctls.end() ? std::string_view{} : std::string_view{found->second};
}

} // namespace manypath::launcher
