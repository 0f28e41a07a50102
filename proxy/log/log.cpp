// SPDX-License-Identifier: Apache-2.0
#include "proxy/log/log.hpp"

#include <cstdlib>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace manypath::log {

namespace {

spdlog::level::level_enum to_spdlog(level l) noexcept
{
    switch (l) {
    case level::debug:
        return spdlog::level::debug;
    case level::info:
        return spdlog::level::info;
    case level::warning:
        return spdlog::level::warn;
    case level::error:
        break;
    }
    return spdlog::level::err;
}

/// The priority prefixes of sd-daemon(3).
int syslog_priority(level l) noexcept
{
    switch (l) {
    case level::debug:
        return 7;
    case level::info:
        return 6;
    case level::warning:
        return 4;
    case level::error:
        break;
    }
    return 3;
}

bool to_journal = false;

} // namespace

void initialize(level least)
{
    to_journal = std::getenv("JOURNAL_STREAM") != nullptr;
    auto logger = spdlog::stderr_logger_mt("manypath");
    logger->set_pattern(to_journal ? "%v" : "%Y-%m-%dT%H:%M:%S.%e%z %l %v");
    spdlog::set_default_logger(std::move(logger));
    spdlog::set_level(to_spdlog(least));
}

bool enabled(level l) noexcept
{
    return spdlog::should_log(to_spdlog(l));
}

void write(level l, std::string_view line)
{
    if (to_journal)
        spdlog::log(to_spdlog(l), "<{}>{}", syslog_priority(l), line);
    else
        spdlog::log(to_spdlog(l), "{}", line);
}

} // namespace manypath::log
