// path_states.hpp: what the uplinks carry at the moment.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/control/state.hpp"

#include <vector>

namespace manypath {

/// Asks the system for its interfaces and their addresses.
/// @param connections  those alive now; a subflow belongs to the path with its local address
[[nodiscard]] std::vector<control::path_state>
path_states(const std::vector<config::path>& paths,
            const std::vector<control::connection_state>& connections);

} // namespace manypath
