// log.hpp: one line per event on standard error, where systemd's journal picks it up.
//
// A thin front of spdlog, so that no other header includes it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spdlog/fmt/fmt.h>
#include <string_view>
#include <utility>

namespace manypath::log {

enum class level { debug, info, warning, error };

/// Lines below `least` are dropped. Under systemd (JOURNAL_STREAM set) each line begins with its
/// syslog priority instead of a time.
void initialize(level least);

[[nodiscard]] bool enabled(level l) noexcept;
void write(level l, std::string_view line);

template <typename... Args>
void write_formatted(level l, fmt::format_string<Args...> format, Args&&... args)
{
    if (enabled(l))
        write(l, fmt::format(format, std::forward<Args>(args)...));
}

template <typename... Args>
void debug(fmt::format_string<Args...> format, Args&&... args)
{
    write_formatted(level::debug, format, std::forward<Args>(args)...);
}
template <typename... Args>
void info(fmt::format_string<Args...> format, Args&&... args)
{
    write_formatted(level::info, format, std::forward<Args>(args)...);
}
template <typename... Args>
void warning(fmt::format_string<Args...> format, Args&&... args)
{
    write_formatted(level::warning, format, std::forward<Args>(args)...);
}
template <typename... Args>
void error(fmt::format_string<Args...> format, Args&&... args)
{
    write_formatted(level::error, format, std::forward<Args>(args)...);
}

} // namespace manypath::log
