// environment.hpp: the environment in which a wrapped program runs.
//
// Our library goes behind those that LD_PRELOAD names already: they then see the call as the
// program made it (protocol 0, not 262), and what they pass on reaches ours.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace manypath::launcher {

/// Strings of the form NAME=VALUE.
using environment = std::vector<std::string>;

/// @param from  as execve(2) takes it, ends with a null pointer
[[nodiscard]] environment copy_environment(const char* const* from);

/// @return the value of the first variable called `name`, or an empty text
[[nodiscard]] std::string_view lookup(const environment& variables, std::string_view name);

/// Sets `name`, and removes further variables of that name.
void assign(environment& variables, std::string_view name, std::string_view value);

/// @param existing  value of LD_PRELOAD; libraries are separated by spaces or colons
/// @return it with `library` at its end; unchanged if a libmanypath.so is in it already
[[nodiscard]] std::string with_library(std::string_view existing, std::string_view library);

/// @param existing  value of GODEBUG, key=value pairs separated by commas
/// @return it with multipathtcp=1 at its end; unchanged if it sets multipathtcp already
[[nodiscard]] std::string with_go_multipath(std::string_view existing);

} // namespace manypath::launcher
