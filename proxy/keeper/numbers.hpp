// numbers.hpp: every number that the gateway takes in tables which it shares with the
// administrator.
//
// Fixed, so that rules of the administrator's own can name them; chosen where distributions, DHCP
// clients and routing daemons take none.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace manypath::keeper {

/// The bit of a packet's mark that says "deliver to the gateway". One bit, and only this bit is
/// compared, so that the others stay free; the lower ones are popular.
inline constexpr std::uint32_t intercept_mark = 0x2000'0000;

/// Priorities of ip rules: after the kernel's `local` (0), before its `main` (32766). What an
/// administrator puts below 17000 comes first.
inline constexpr std::uint32_t intercept_priority = 17000;
inline constexpr std::uint32_t path_priority = 17001;

/// Routing tables: one that delivers marked packets locally, and one per path from 1000 on. Tables
/// up to 255 have names in /etc/iproute2/rt_tables, and container engines begin at 2000.
inline constexpr std::uint32_t intercept_table = 999;
inline constexpr std::uint32_t first_path_table = 1000;
inline constexpr std::uint32_t path_table_count = 255; ///< as many as the kernel has endpoint ids

/// `ip route show proto 77` lists what is ours. Not in /etc/iproute2/rt_protos.
inline constexpr std::uint8_t route_protocol = 77;

/// Behind every route that a path table can have: without its uplink a path is dead, and must not
/// fall through to the main table and leave through another uplink.
inline constexpr std::uint32_t unreachable_metric = 0xffff'0000;

/// The kernel's limits up to 6.12; later ones take 64.
inline constexpr std::uint32_t most_subflows = 8;

} // namespace manypath::keeper
