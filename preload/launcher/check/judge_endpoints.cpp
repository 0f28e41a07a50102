// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/check/judge.hpp"

#include <algorithm>
#include <cerrno>
#include <set>
#include <system_error>

namespace manypath::launcher {

namespace {

using kernel::mptcp_endpoint;

const path_facts* path_of(const host_facts& facts, const ip_address& address)
{
    const auto found = std::ranges::find_if(
        facts.paths, [&](const path_facts& p) { return equal(p.address, address); });
    return found == facts.paths.end() ? nullptr : &*found;
}

bool opens_subflows(const mptcp_endpoint& e)
{
    return e.subflow || e.fullmesh;
}

bool is_judged(const host_facts& facts, const mptcp_endpoint& e)
{
    return !e.implicit && (facts.family == AF_UNSPEC || facts.family == family_of(e.address));
}

std::string flags_of(const mptcp_endpoint& e)
{
    std::string text;
    const auto add = [&](bool set, const char* name) {
        if (set)
            text += (text.empty() ? "" : " ") + std::string{name};
    };
    add(e.signal, "signal");
    add(e.subflow, "subflow");
    add(e.backup, "backup");
    add(e.fullmesh, "fullmesh");
    return text;
}

std::string add_command(const path_facts& path)
{
    return "ip mptcp endpoint add " + to_text(path.address) + " dev " + path.interface + " subflow";
}

finding endpoint_finding(const host_facts& facts, const mptcp_endpoint& e)
{
    const std::string address = to_text(e.address);
    const std::string remove = "ip mptcp endpoint delete id " + std::to_string(e.id);
    if (path_of(facts, e.address) == nullptr)
        return {level::problem, "endpoint.address",
                "endpoint " + address + " is an address that no interface of this host has",
                e.id != 0 ? remove : ""};
    if (e.signal && e.subflow)
        return {level::note, "endpoint.flags",
                "endpoint " + address +
                    " is both announced to peers (signal) and used to open subflows (subflow); "
                    "servers need the first, clients the second",
                "ip mptcp endpoint change id " + std::to_string(e.id) + " subflow"};
    return {level::ok, "endpoint", "endpoint " + address + ": " + flags_of(e), ""};
}

/// The first address of each usable interface that no endpoint covers.
std::vector<const path_facts*> uncovered_paths(const host_facts& facts)
{
    std::set<std::string> seen;
    for (const mptcp_endpoint& e : subflow_endpoints(facts)) {
        if (const path_facts* path = path_of(facts, e.address))
            seen.insert(path->interface);
    }
    std::vector<const path_facts*> uncovered;
    for (const path_facts& path : facts.paths) {
        if (path.up && path.through.interface != 0 && seen.insert(path.interface).second)
            uncovered.push_back(&path);
    }
    return uncovered;
}

std::string commands_for(const std::vector<const path_facts*>& paths)
{
    std::string text;
    for (const path_facts* path : paths)
        text += (text.empty() ? "" : " && ") + add_command(*path);
    return text;
}

void add_coverage(const host_facts& facts, findings& to)
{
    const auto uncovered = uncovered_paths(facts);
    const bool any = !subflow_endpoints(facts).empty();
    const bool announces = std::ranges::any_of(facts.endpoints, &mptcp_endpoint::signal);
    if (!any && uncovered.size() >= 2) {
        to.push_back({announces ? level::note : level::problem, "endpoint.none",
                      "no endpoint has the flag subflow, so connections opened here use one path, "
                      "although " +
                          std::to_string(uncovered.size()) + " interfaces lead out",
                      commands_for(uncovered)});
        return;
    }
    if (!any) {
        to.push_back({level::note, "endpoint.none",
                      "only " + std::to_string(uncovered.size()) +
                          " interface leads out, so connections opened here have one path "
                          "unless the server announces more addresses",
                      ""});
        return;
    }
    for (const path_facts* path : uncovered) {
        if (path->first)
            continue; // needs none while connections begin there anyway
        to.push_back({level::note, "endpoint.missing",
                      to_text(path->address) + " on " + path->interface +
                          " is no endpoint, so no further subflow starts there",
                      add_command(*path)});
    }
}

void add_limits(const host_facts& facts, findings& to)
{
    if (!facts.limits)
        return;
    const auto endpoints = subflow_endpoints(facts).size();
    const std::size_t wanted = std::max<std::size_t>(endpoints, 2) - 1;
    const std::string set = "ip mptcp limits set subflows " + std::to_string(wanted);
    if (facts.limits->subflows < wanted)
        to.push_back({level::problem, "limits.subflows",
                      "a connection may have " + std::to_string(facts.limits->subflows) +
                          " additional subflows, but the endpoints make " + std::to_string(wanted),
                      set});
    else
        to.push_back({level::ok, "limits.subflows",
                      "a connection may have " + std::to_string(facts.limits->subflows) +
                          " additional subflows",
                      ""});
    if (facts.limits->add_addr_accepted == 0)
        to.push_back({level::note, "limits.add_addr",
                      "addresses that a server announces are not used",
                      "ip mptcp limits set add_addr_accepted 2"});
}

} // namespace

std::vector<mptcp_endpoint> subflow_endpoints(const host_facts& facts)
{
    std::vector<mptcp_endpoint> chosen;
    std::ranges::copy_if(facts.endpoints, std::back_inserter(chosen),
                         [&](const auto& e) { return is_judged(facts, e) && opens_subflows(e); });
    return chosen;
}

std::size_t usable_interfaces(const host_facts& facts)
{
    std::set<std::string> names;
    for (const path_facts& path : facts.paths) {
        if (path.up && path.through.interface != 0)
            names.insert(path.interface);
    }
    return names.size();
}

findings judge_endpoints(const host_facts& facts)
{
    findings found;
    if (facts.endpoints_error) {
        const bool forbidden = *facts.endpoints_error == EPERM || *facts.endpoints_error == EACCES;
        // Without MPTCP in the kernel there is no path manager; judge_kernel() has said so.
        if (*facts.endpoints_error != ENOENT)
            found.push_back({level::note, "endpoint.unknown",
                             "the kernel does not tell its endpoints: " +
                                 std::generic_category().message(*facts.endpoints_error),
                             forbidden ? "sudo manypath check" : ""});
        return found;
    }
    if (!kernel_manages_paths(facts))
        return found; // endpoints have no effect; judge_kernel() has said so
    for (const mptcp_endpoint& e : facts.endpoints) {
        if (is_judged(facts, e))
            found.push_back(endpoint_finding(facts, e));
    }
    add_coverage(facts, found);
    add_limits(facts, found);
    return found;
}

} // namespace manypath::launcher
