// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/check/judge.hpp"

#include <algorithm>
#include <array>

namespace manypath::launcher {

namespace {

std::string counters_text(const mptcp_counters& grown)
{
    std::string text;
    for (const auto& [name, value] : grown)
        text += (text.empty() ? "" : ", ") + name + " +" + std::to_string(value);
    return text.empty() ? "no counter moved" : text;
}

finding fallback_finding(const probe_facts& probe)
{
    std::string fix;
    if (value_of(probe.grown, "MPCapableSYNTXDisabled") != 0)
        fix = "sysctl -w net.mptcp.blackhole_timeout=0";
    return {level::problem, "target.fallback",
            "the connection is plain TCP: " + fallback_reason(probe.grown) + " (" +
                counters_text(probe.grown) + ")",
            fix};
}

/// The case that no subflow was tried at all.
finding untried_finding(const probe_facts& probe, const host_facts& facts)
{
    finding untried{level::problem, "target.one_path", "", ""};
    const auto endpoints = subflow_endpoints(facts);
    const bool others = std::ranges::any_of(
        endpoints, [&](const auto& e) { return to_text(e.address) != probe.local; });
    if (facts.endpoints_error) {
        untried.severity = level::note;
        untried.text = "why it is only one cannot be said without a look at the endpoints";
        untried.fix = "sudo manypath check " + probe.host + " " + probe.port;
    } else if (!others && usable_interfaces(facts) < 2) {
        untried.severity = level::note;
        untried.text = "this host has only one path, and no other address of the server was used";
    } else if (!others) {
        untried.text = "no endpoint other than " + probe.local +
                       " has the flag subflow; see the endpoints above";
    } else if (facts.limits && facts.limits->subflows == 0) {
        untried.text = "the limits allow no additional subflow";
        untried.fix = "ip mptcp limits set subflows 2";
    } else if (value_of(probe.grown, "MPJoinSynTxBindErr") != 0 ||
               value_of(probe.grown, "MPJoinSynTxConnectErr") != 0 ||
               value_of(probe.grown, "MPJoinSynTxCreatSkErr") != 0) {
        untried.text = "the kernel could not open the other subflow: no route from that address";
    } else {
        untried.text = "the kernel tried none: the server forbids subflows to the address of the "
                       "connection (C flag) and announced no other, or never acknowledged data";
    }
    return untried;
}

finding refused_join_finding(const probe_facts& probe)
{
    finding lost{level::problem, "target.one_path", "", ""};
    if (value_of(probe.grown, "MPJoinSynAckHMacFailure") != 0)
        lost.text =
            "another subflow was answered by someone who does not know the connection's keys";
    else if (value_of(probe.grown, "MPRstRx") != 0)
        lost.text = "the server refused another subflow: its limits, or a load balancer that sends "
                    "it to another machine";
    else if (value_of(probe.grown, "MPJoinSynAckRx") == 0)
        lost.text = "another subflow was tried and got no answer: see routes and rp_filter above, "
                    "and firewalls on the way";
    else
        lost.text = "another subflow was answered and then lost: its packets do not come back, or "
                    "the server has reached its limits";
    return lost;
}

void add_subflows(const probe_facts& probe, const host_facts& facts, findings& to)
{
    std::string list;
    for (const std::string& subflow : probe.subflows)
        list += (list.empty() ? "" : ", ") + subflow;
    const auto count = probe.subflows.size();
    to.push_back({level::ok, "target.subflows",
                  std::to_string(count) + (count == 1 ? " subflow: " : " subflows: ") + list, ""});
    if (count < 2) {
        const bool tried = value_of(probe.grown, "MPJoinSynTx") != 0 ||
                           value_of(probe.grown, "MPJoinSynAckRx") != 0;
        finding reason = tried ? refused_join_finding(probe) : untried_finding(probe, facts);
        reason.text += " (" + counters_text(probe.grown) + ")";
        to.push_back(std::move(reason));
    }
    if (value_of(probe.grown, "AddAddr") != 0 && facts.limits &&
        facts.limits->add_addr_accepted == 0)
        to.push_back({level::note, "target.announced",
                      "the server announced further addresses, which the limits ignore",
                      "ip mptcp limits set add_addr_accepted 2"});
}

} // namespace

findings judge_probe(const probe_facts& probe, const host_facts& facts)
{
    const std::string name = probe.host + " port " + probe.port;
    if (!probe.failure.empty())
        return {{level::problem, "target.connect",
                 "no connection to " + name + ": " + probe.failure, ""}};
    if (probe.refused)
        return {{level::problem, "target.fallback",
                 "connected to " + probe.peer +
                     " by plain TCP, because the kernel opens no MPTCP "
                     "socket",
                 refusal_finding(*probe.refused, facts.release).fix}};
    findings found;
    if (!probe.speaks_mptcp) {
        found.push_back(fallback_finding(probe));
        return found;
    }
    found.push_back({level::ok, "target.mptcp", "connected to " + probe.peer + " by MPTCP", ""});
    add_subflows(probe, facts, found);
    return found;
}

} // namespace manypath::launcher
