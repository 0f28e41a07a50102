// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/environment.hpp"

#include <algorithm>

namespace manypath::launcher {

namespace {

bool is_named(std::string_view variable, std::string_view name)
{
    return variable.size() > name.size() && variable.starts_with(name) &&
           variable[name.size()] == '=';
}

/// Calls `each` for every part of `text` between characters of `separators`.
template <class Function>
bool any_part(std::string_view text, std::string_view separators, Function each)
{
    while (!text.empty()) {
        const std::size_t end = std::min(text.find_first_of(separators), text.size());
        if (each(text.substr(0, end)))
            return true;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return false;
}

} // namespace

environment copy_environment(const char* const* from)
{
    environment variables;
    for (; *from != nullptr; ++from)
        variables.emplace_back(*from);
    return variables;
}

std::string_view lookup(const environment& variables, std::string_view name)
{
    for (const std::string& variable : variables) {
        if (is_named(variable, name))
            return std::string_view{variable}.substr(name.size() + 1);
    }
    return {};
}

void assign(environment& variables, std::string_view name, std::string_view value)
{
    std::erase_if(variables, [&](const std::string& v) { return is_named(v, name); });
    variables.push_back(std::string{name}.append("=").append(value));
}

std::string with_library(std::string_view existing, std::string_view library)
{
    const bool present = any_part(existing, ": ", [](std::string_view part) {
        return part == "libmanypath.so" || part.ends_with("/libmanypath.so");
    });
    std::string value{existing};
    if (present)
        return value;
    if (!value.empty())
        value += ':';
    return value.append(library);
}

std::string with_go_multipath(std::string_view existing)
{
    const bool present = any_part(
        existing, ",", [](std::string_view part) { return part.starts_with("multipathtcp="); });
    std::string value{existing};
    if (present)
        return value;
    if (!value.empty())
        value += ',';
    return value.append("multipathtcp=1");
}

} // namespace manypath::launcher
