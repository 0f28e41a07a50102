// say.hpp: what the launcher tells people, on standard error.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace manypath::launcher {

/// One line, with "manypath: " before it.
void say(std::string_view line);

/// As it is; written whole even where standard error is a slow pipe.
void say_text(std::string_view text);

/// The same on standard output.
/// @return whether all of it was written
[[nodiscard]] bool print_text(std::string_view text);

} // namespace manypath::launcher
