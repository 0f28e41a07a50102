// routes.hpp: questions to the kernel's routing tables; nothing is sent.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/launcher/check/host_facts.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace manypath::launcher {

struct route_question {
    ip_address destination;
    std::optional<ip_address> source; ///< of the same family, and an address of this host
    std::uint32_t interface = 0;      ///< index; 0: the kernel chooses
};

/// With an interface given, only a route that is really configured counts: IPv4 otherwise takes
/// any destination for a neighbour on that link.
[[nodiscard]] route_answer ask_route(const route_question& question);

/// @return by interface index, a gateway of a default route of this family in any table
[[nodiscard]] std::map<std::uint32_t, std::string> default_gateways(int family);

} // namespace manypath::launcher
