// routing.hpp: ip rules and routes of the gateway, and what the system has already.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/keeper/step.hpp"

#include <expected>
#include <string>
#include <vector>

namespace manypath::keeper {

/// @return the kernel's sentence, or its errno as words
[[nodiscard]] std::expected<void, std::string> add(const policy_rule& r);
[[nodiscard]] std::expected<void, std::string> add(const route& r);
/// What is not there any more counts as removed. Only what carries our protocol number is.
[[nodiscard]] std::expected<void, std::string> remove(const policy_rule& r);
[[nodiscard]] std::expected<void, std::string> remove(const route& r);

struct link {
    std::uint32_t index = 0;
    std::string name;
    bool up = false;
};

struct link_address {
    std::uint32_t interface = 0;
    ip_address address;
    bool usable = false; ///< global, and neither tentative nor deprecated
};

/// The network as the kernel shows it at one moment.
struct network_state {
    std::vector<link> links;
    std::vector<link_address> addresses;
    std::vector<route> main_routes; ///< unicast routes of the main table with a single next hop

    [[nodiscard]] const link* find_link(std::string_view name) const;
};

[[nodiscard]] std::expected<network_state, std::string> observe_network();

} // namespace manypath::keeper
