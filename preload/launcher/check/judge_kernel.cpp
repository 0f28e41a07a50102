// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/check/judge.hpp"

#include <cerrno>
#include <system_error>

namespace manypath::launcher {

namespace {

finding family_finding(const host_facts& facts, const std::optional<int>& refused,
                       const std::string& family)
{
    if (!refused)
        return {level::ok, "kernel.socket",
                "the kernel (" + facts.release + ") opens MPTCP sockets for " + family, ""};
    if (*refused == EAFNOSUPPORT)
        return {level::note, "kernel.socket", "this host has no " + family, ""};
    return refusal_finding(*refused, facts.release);
}

void add_path_manager(const host_facts& facts, findings& to)
{
    const auto name = sysctl_of(facts, "net.mptcp.path_manager");
    const bool userspace =
        name.empty() ? sysctl_of(facts, "net.mptcp.pm_type") == "1" : name != "kernel";
    if (userspace)
        to.push_back({level::note, "sysctl.path_manager",
                      "a program such as mptcpd decides over subflows (path manager " +
                          std::string{name.empty() ? "userspace" : name} +
                          "); the kernel's endpoints have no effect",
                      name.empty() ? "sysctl -w net.mptcp.pm_type=0"
                                   : "sysctl -w net.mptcp.path_manager=kernel"});
    else if (!sysctl_of(facts, "net.mptcp.enabled").empty())
        to.push_back({level::ok, "sysctl.path_manager", "the kernel's path manager is in use", ""});
}

void add_settings(const host_facts& facts, findings& to)
{
    if (const auto name = sysctl_of(facts, "net.mptcp.scheduler"); !name.empty())
        to.push_back({level::ok, "sysctl.scheduler", "packet scheduler: " + std::string{name}, ""});
    if (sysctl_of(facts, "net.mptcp.checksum_enabled") == "1")
        to.push_back({level::note, "sysctl.checksum",
                      "checksums over the data are on and cost processor time",
                      "sysctl -w net.mptcp.checksum_enabled=0"});
    if (sysctl_of(facts, "net.mptcp.allow_join_initial_addr_port") == "0")
        to.push_back({level::note, "sysctl.join_initial",
                      "peers may not open subflows to the address they first connected to",
                      "sysctl -w net.mptcp.allow_join_initial_addr_port=1"});
}

void add_congestion_control(const host_facts& facts, findings& to)
{
    const std::string name{sysctl_of(facts, "net.ipv4.tcp_congestion_control")};
    if (name.empty())
        return;
    if (name.starts_with("bbr"))
        to.push_back({level::note, "sysctl.congestion",
                      "congestion control is " + name +
                          ", with which MPTCP can become much slower over links without delay; "
                          "compare with cubic",
                      "sysctl -w net.ipv4.tcp_congestion_control=cubic"});
    else
        to.push_back(
            {level::ok, "sysctl.congestion", "congestion control of each subflow: " + name, ""});
}

void add_blackhole(const host_facts& facts, findings& to)
{
    if (value_of(facts.counters, "Blackhole") != 0)
        to.push_back({level::note, "sysctl.blackhole",
                      "a network has swallowed SYNs with MPTCP before; each time the kernel "
                      "connects by TCP only for " +
                          std::string{sysctl_of(facts, "net.mptcp.blackhole_timeout")} +
                          " s or longer",
                      "sysctl -w net.mptcp.blackhole_timeout=0"});
}

} // namespace

bool kernel_manages_paths(const host_facts& facts)
{
    // Linux 6.15 has names for path managers; before there was a number.
    const auto name = sysctl_of(facts, "net.mptcp.path_manager");
    return name.empty() ? sysctl_of(facts, "net.mptcp.pm_type") != "1" : name == "kernel";
}

finding refusal_finding(int error, const std::string& release)
{
    finding refused{level::problem, "kernel.socket", "", ""};
    switch (error) {
    case ENOPROTOOPT:
        refused.text = "MPTCP is switched off in this network namespace";
        refused.fix = "sysctl -w net.mptcp.enabled=1";
        break;
    case EINVAL:
        refused.text = "the kernel (" + release + ") is older than MPTCP: 5.6 is needed";
        break;
    case EPROTONOSUPPORT:
        refused.text = "the kernel (" + release + ") was built without CONFIG_MPTCP";
        break;
    case EPERM:
    case EACCES:
        refused.text =
            "a security policy (seccomp, SELinux, AppArmor or BPF) forbids MPTCP sockets";
        break;
    default:
        refused.text = "the kernel (" + release + ") opens no MPTCP socket";
    }
    refused.text += " (" + std::generic_category().message(error) + ")";
    return refused;
}

findings judge_kernel(const host_facts& facts)
{
    findings found;
    found.push_back(family_finding(facts, facts.refused_v4, "IPv4"));
    // One cause, one finding: only another cause for IPv6 is news.
    if (facts.refused_v4 != facts.refused_v6 || !facts.refused_v6)
        found.push_back(family_finding(facts, facts.refused_v6, "IPv6"));
    if (facts.refused_v4 && facts.refused_v6)
        return found;
    add_path_manager(facts, found);
    add_settings(facts, found);
    add_blackhole(facts, found);
    add_congestion_control(facts, found);
    return found;
}

} // namespace manypath::launcher
