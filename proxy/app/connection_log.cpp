// SPDX-License-Identifier: Apache-2.0
#include "proxy/app/connection_log.hpp"

#include "proxy/log/log.hpp"

#include <iterator>

namespace manypath {

namespace {

using clock = std::chrono::steady_clock;

std::string_view name_of(relay_end end)
{
    switch (end) {
    case relay_end::finished:
        return "finished";
    case relay_end::reset_by_client:
        return "reset-by-client";
    case relay_end::reset_by_server:
        return "reset-by-server";
    case relay_end::idle_timeout:
        return "idle-timeout";
    case relay_end::half_close_timeout:
        return "half-close-timeout";
    case relay_end::aborted:
        break;
    }
    return "aborted";
}

/// "fallback" is an MPTCP socket that speaks TCP, because the peer or the way there wants it.
std::string_view name_of(const connection_info& side)
{
    if (side.negotiated == protocol::mptcp)
        return "mptcp";
    return side.asked == protocol::mptcp ? "fallback" : "tcp";
}

double seconds_since(clock::time_point since, clock::time_point now)
{
    return std::chrono::duration<double>(now - since).count();
}

void append_subflows(std::string& line, std::string_view key, const connection_info& side)
{
    if (side.subflows.empty())
        return;
    auto out = std::back_inserter(line);
    fmt::format_to(out, " {}=[", key);
    std::string_view separator;
    for (const auto& flow : side.subflows) {
        fmt::format_to(out, "{}{}>{} sent {} received {}", separator, to_string(flow.local),
                       to_string(flow.remote), flow.sent_bytes, flow.received_bytes);
        separator = ", ";
    }
    line.push_back(']');
}

/// A dial that nobody asked for yet has no destination.
std::string beginning(const connection& about)
{
    std::string line = fmt::format("connection listener={} client={}",
                                   about.share.of().listener.name, to_string(about.client));
    auto out = std::back_inserter(line);
    if (about.to != destination{})
        fmt::format_to(out, " to={}", to_string(about.to));
    if (std::holds_alternative<host_port>(about.to) && about.server != endpoint{})
        fmt::format_to(out, " server={}", to_string(about.server));
    return line;
}

} // namespace

std::string end_line(const connection& about, const relay_report& report, clock::time_point now)
{
    std::string line = beginning(about);
    fmt::format_to(std::back_inserter(line),
                   " client_protocol={} server_protocol={} to_server={} to_client={} "
                   "seconds={:.3f} end={}",
                   name_of(report.client), name_of(report.server), report.bytes_to_server,
                   report.bytes_to_client, seconds_since(about.since, now), name_of(report.end));
    if (report.error)
        fmt::format_to(std::back_inserter(line), " error=\"{}\"", report.error.message());
    append_subflows(line, "client_subflows", report.client);
    append_subflows(line, "server_subflows", report.server);
    return line;
}

void log_end(const connection& about, const relay_report& report, clock::time_point now)
{
    if (log::enabled(log::level::info))
        log::write(log::level::info, end_line(about, report, now));
}

void log_end(const connection& about, std::string_view end, const error_code& why,
             clock::time_point now)
{
    log::info("{} seconds={:.3f} end={} error=\"{}\"", beginning(about),
              seconds_since(about.since, now), end, why.message());
}

} // namespace manypath
