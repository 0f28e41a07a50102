// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/check/judge.hpp"

#include <algorithm>

namespace manypath::launcher {

namespace {

/// Strict reverse path filtering, RFC 3704, section 2.2.
constexpr int rp_filter_strict = 1;

/// Numbers of the tables that the suggested commands make; small ones are often in use.
constexpr std::uint32_t first_table = 100;

const kernel::mptcp_endpoint* endpoint_of(const host_facts& facts, const path_facts& path)
{
    const auto found = std::ranges::find_if(facts.endpoints, [&](const auto& e) {
        return !e.implicit && (e.subflow || e.fullmesh || e.signal) &&
               equal(e.address, path.address);
    });
    return found == facts.endpoints.end() ? nullptr : &*found;
}

/// The commands that send packets from this address out of its own interface.
std::string rule_commands(const path_facts& path)
{
    const std::string ip = family_of(path.address) == AF_INET ? "ip" : "ip -6";
    const std::string table = std::to_string(first_table + path.index);
    std::string gateway = path.known_gateway;
    if (gateway.empty())
        gateway = path.through.gateway;
    if (gateway.empty() && path.through.interface == 0)
        gateway = "GATEWAY";
    const std::string via = gateway.empty() ? "" : " via " + gateway;
    return ip + " rule add from " + to_text(path.address) + " table " + table + " && " + ip +
           " route add default" + via + " dev " + path.interface + " table " + table;
}

std::string described(const route_answer& route, const std::string& interface)
{
    return interface + (route.gateway.empty() ? "" : " via " + route.gateway);
}

finding judge_path(const host_facts& facts, const path_facts& path)
{
    const kernel::mptcp_endpoint* endpoint = endpoint_of(facts, path);
    const level severity = endpoint != nullptr ? level::problem : level::note;
    const std::string name = to_text(path.address) + " on " + path.interface;
    if (!path.up)
        return {severity, "path.down", name + ": the interface is down",
                "ip link set " + path.interface + " up"};
    if (path.by_source.interface == path.index)
        return {level::ok, "path.route",
                name + ": leaves through " + described(path.by_source, path.interface), ""};
    if (path.through.interface == 0) {
        // A host without any default route is normal until a target says where it should lead.
        const bool nowhere = path.by_source.interface == 0 && facts.family == AF_UNSPEC;
        return {nowhere ? level::note : severity, "path.route",
                name + ": " + path.interface + " has no route that leads there",
                rule_commands(path)};
    }
    const bool bound = endpoint != nullptr && endpoint->interface != 0 && !endpoint->signal;
    if (!bound)
        return {severity, "path.rule",
                name + ": packets from this address leave through " +
                    (path.by_source_interface.empty() ? "no interface" : path.by_source_interface),
                rule_commands(path)};
    if (path.rp_filter == rp_filter_strict)
        return {level::problem, "path.rp_filter",
                name +
                    ": strict reverse path filtering drops the answers, because the route back "
                    "leads through " +
                    path.by_source_interface,
                "sysctl -w net.ipv4.conf." + path.interface + ".rp_filter=2"};
    return {level::ok, "path.route",
            name + ": its endpoint is bound to the interface; leaves through " +
                described(path.through, path.interface),
            ""};
}

} // namespace

findings judge_paths(const host_facts& facts)
{
    if (facts.target_is_here)
        return {{level::note, "path.local",
                 "the target is this host itself: no packet leaves, whatever the paths are", ""}};
    findings found;
    for (const path_facts& path : facts.paths)
        found.push_back(judge_path(facts, path));
    return found;
}

} // namespace manypath::launcher
