// judge.hpp: from facts to findings.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/launcher/check/finding.hpp"
#include "preload/launcher/check/host_facts.hpp"
#include "preload/launcher/counters.hpp"

#include <optional>
#include <string>

namespace manypath::launcher {

/// Whether the kernel opens MPTCP sockets, and its settings.
[[nodiscard]] findings judge_kernel(const host_facts& facts);

/// False where a program such as mptcpd decides over subflows, and endpoints have no effect.
[[nodiscard]] bool kernel_manages_paths(const host_facts& facts);

/// Endpoints and limits of the path manager.
[[nodiscard]] findings judge_endpoints(const host_facts& facts);

/// Where the packets of each path go, and whether the answers come in.
[[nodiscard]] findings judge_paths(const host_facts& facts);

/// A test connection, as far as it came.
struct probe_facts {
    std::string host;
    std::string port;
    std::string failure; ///< why there is no connection; empty if there is one
    std::string peer;
    std::optional<int> refused; ///< errno with which the kernel refused an MPTCP socket
    bool speaks_mptcp = false;
    std::vector<std::string> subflows; ///< "local -> remote", those of the end
    std::string local;                 ///< own address of the first subflow, without port
    mptcp_counters grown;              ///< during the connection
};

[[nodiscard]] findings judge_probe(const probe_facts& probe, const host_facts& facts);

/// Says why an MPTCP socket was refused and what to do.
[[nodiscard]] finding refusal_finding(int error, const std::string& release);

/// Paths over which packets to the destination can leave.
[[nodiscard]] std::size_t usable_interfaces(const host_facts& facts);

/// Endpoints from which this host opens subflows, of the family of any of its paths.
[[nodiscard]] std::vector<kernel::mptcp_endpoint> subflow_endpoints(const host_facts& facts);

} // namespace manypath::launcher
