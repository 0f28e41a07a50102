// counters.hpp: the kernel's MPTCP counters of this network namespace, and what they tell.
//
// They are shared by everything in the namespace, so a difference is evidence and not proof.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace manypath::launcher {

/// Names as the kernel's, without the prefix MPTcpExt: "MPJoinSynTx".
using mptcp_counters = std::map<std::string, std::uint64_t, std::less<>>;

/// @param netstat  text of /proc/net/netstat
[[nodiscard]] mptcp_counters parse_counters(std::string_view netstat);

/// @return empty where the kernel has none
[[nodiscard]] mptcp_counters read_counters();

/// What grew between the two, and by how much.
[[nodiscard]] mptcp_counters growth(const mptcp_counters& before, const mptcp_counters& after);

[[nodiscard]] std::uint64_t value_of(const mptcp_counters& counters, std::string_view name);

/// One clause: why connections of this side became TCP while the counters grew so.
[[nodiscard]] std::string fallback_reason(const mptcp_counters& grown);

} // namespace manypath::launcher
