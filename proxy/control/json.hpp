// json.hpp: the values of state.hpp as JSON, in both directions.
//
// The daemon writes and manypathctl reads with the same list of fields, so they cannot differ.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/control/state.hpp"

#include <boost/json/fwd.hpp>
#include <expected>
#include <string>
#include <vector>

namespace manypath::control {

[[nodiscard]] boost::json::value to_json(const daemon_state& state);
[[nodiscard]] boost::json::value to_json(const std::vector<connection_state>& state);
[[nodiscard]] boost::json::value to_json(const std::vector<path_state>& state);

/// For the three types above.
/// @return the value, or what is missing or wrong in the JSON
template <typename State>
[[nodiscard]] std::expected<State, std::string> from_json(const boost::json::value& json);

} // namespace manypath::control
