// parse.hpp: manypathd.toml to a validated configuration, or to the list of what is wrong.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace manypath::config {

/// @return the whole file; nothing where it cannot be read, or is a directory
[[nodiscard]] std::optional<std::string> read_file(const std::string& name);

/// Parses and validates the whole text; asks nothing of the system (no interface, no name lookup).
/// @param file  the name that stands in front of each message
/// @return the configuration, or one message per defect: "FILE:LINE: KEY: what is wrong; what is
///         allowed"
[[nodiscard]] std::expected<configuration, std::vector<std::string>> parse(std::string_view text,
                                                                           std::string_view file);

/// What a reload would have to change although it is fixed when the daemon starts.
/// @param started  the configuration that the daemon started with
/// @return the keys, such as "control.socket"; empty where the reload is possible
[[nodiscard]] std::vector<std::string> fixed_at_start(const configuration& started,
                                                      const configuration& wanted);

} // namespace manypath::config
