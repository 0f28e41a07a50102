// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/report_text.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <system_error>

namespace manypath::launcher {

namespace {

constexpr std::size_t columns = 8;
using row = std::array<std::string, columns>;

/// Sockets that stopped being MPTCP, or never were.
std::uint32_t fallen_connections(const process_record& process)
{
    const auto seen =
        std::ranges::count(process.sockets, report::verdict::fallback, &socket_record::verdict);
    return std::max(process.fell_back, static_cast<std::uint32_t>(seen));
}

/// "2", "1-3", or "-" while no connection was seen.
std::string subflow_range(const process_record& process)
{
    std::uint32_t least = 0;
    std::uint32_t most = 0;
    for (const socket_record& socket : process.sockets) {
        if (socket.verdict == report::verdict::fallback || socket.subflows == 0)
            continue;
        least = least == 0 ? socket.subflows : std::min(least, socket.subflows);
        most = std::max(most, socket.subflows);
    }
    if (most == 0)
        return "-";
    if (least == most)
        return std::to_string(most);
    return std::to_string(least) + "-" + std::to_string(most);
}

std::string remarks(const process_record& process, const mptcp_counters& grown)
{
    std::string text;
    const auto add = [&](const std::string& clause) {
        text += (text.empty() ? "" : "; ") + clause;
    };
    if (process.refused != 0)
        add("the kernel refused MPTCP: " + std::generic_category().message(process.refused_errno));
    if (fallen_connections(process) != 0)
        add(fallback_reason(grown));
    if (process.accepted_tcp != 0)
        add(std::to_string(process.accepted_tcp) + " accepted from peers without MPTCP");
    if (process.failed != 0)
        add(std::to_string(process.failed) + " refused as TCP as well");
    if (process.still_runs)
        add("still runs");
    return text;
}

row row_of(const process_record& process, const mptcp_counters& grown)
{
    const std::uint32_t fallen = fallen_connections(process);
    const std::uint32_t opened = process.granted + process.accepted;
    return {std::to_string(process.pid),
            process.command,
            std::to_string(process.asked),
            std::to_string(process.accepted + process.accepted_tcp),
            std::to_string(opened - std::min(opened, fallen)),
            std::to_string(process.refused + fallen + process.accepted_tcp),
            subflow_range(process),
            remarks(process, grown)};
}

std::string line_of(const row& cells, const std::array<std::size_t, columns>& widths)
{
    std::string line;
    for (std::size_t i = 0; i < columns; ++i) {
        const std::string padding(widths[i] - std::min(widths[i], cells[i].size()), ' ');
        const bool is_text = i == 1 || i + 1 == columns;
        line += "  " + (is_text ? cells[i] + padding : padding + cells[i]);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    return line + "\n";
}

} // namespace

std::string render_report(const std::vector<process_record>& processes, const mptcp_counters& grown)
{
    std::vector<row> rows{{"PID", "PROGRAM", "ASKED", "ACCEPTED", "MPTCP", "TCP", "SUBFLOWS", ""}};
    for (const process_record& process : processes) {
        if (process.asked != 0 || process.accepted + process.accepted_tcp != 0)
            rows.push_back(row_of(process, grown));
    }
    if (rows.size() == 1)
        return "manypath: report: no process asked the C library for a TCP socket\n";
    std::array<std::size_t, columns> widths{};
    for (const row& cells : rows) {
        for (std::size_t i = 0; i < columns; ++i)
            widths[i] = std::max(widths[i], cells[i].size());
    }
    std::string text = "manypath: report\n";
    for (const row& cells : rows)
        text += line_of(cells, widths);
    return text;
}

} // namespace manypath::launcher
