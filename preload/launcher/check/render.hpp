// render.hpp: findings as text for people and as JSON for programs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/launcher/check/finding.hpp"

#include <string>
#include <string_view>

namespace manypath::launcher {

/// One line per finding, a line with the command that mends it, and a last line with the verdict.
[[nodiscard]] std::string render_text(const check_result& result);

/// The object that manypath(1) documents: version, result, findings, target.
[[nodiscard]] std::string render_json(const check_result& result);

/// A JSON string with its quotes.
/// @param text  UTF-8
[[nodiscard]] std::string json_string(std::string_view text);

[[nodiscard]] bool has_problem(const check_result& result);

} // namespace manypath::launcher
