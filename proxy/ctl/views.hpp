// views.hpp: what manypathctl prints for people.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/control/state.hpp"

#include <string>
#include <vector>

namespace manypath::ctl {

[[nodiscard]] std::string view(const control::daemon_state& state);
[[nodiscard]] std::string view(const std::vector<control::connection_state>& connections);
[[nodiscard]] std::string view(const std::vector<control::path_state>& paths);

} // namespace manypath::ctl
