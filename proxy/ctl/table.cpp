// SPDX-License-Identifier: Apache-2.0
#include "proxy/ctl/table.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace manypath::ctl {

namespace {

constexpr std::string_view between = "  ";

/// A client chooses the name that it wants to reach, so that it may hold anything.
std::string visible(std::string text)
{
    std::ranges::replace_if(text, [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; }, '?');
    return text;
}

/// Characters on the terminal; counts UTF-8's first bytes.
std::size_t width(const std::string& text)
{
    const auto begins = [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; };
    return static_cast<std::size_t>(std::ranges::count_if(text, begins));
}

std::string two_digits(std::int64_t number)
{
    return (number < 10 ? "0" : "") + std::to_string(number);
}

} // namespace

void table::add(std::vector<std::string> cells)
{
    std::ranges::transform(cells, cells.begin(), visible);
    rows_.push_back(std::move(cells));
}

std::string table::line(const std::vector<std::string>& cells,
                        const std::vector<std::size_t>& widths) const
{
    std::string out;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const std::string padding(widths[i] - width(cells[i]), ' ');
        if (i > 0)
            out += between;
        out += columns_[i].where == align::right ? padding + cells[i] : cells[i] + padding;
    }
    out.erase(out.find_last_not_of(' ') + 1);
    return out + '\n';
}

std::string table::text() const
{
    std::vector<std::string> headings;
    std::vector<std::size_t> widths;
    for (const auto& c : columns_) {
        headings.push_back(c.heading);
        widths.push_back(width(c.heading));
    }
    for (const auto& row : rows_)
        for (std::size_t i = 0; i < row.size(); ++i)
            widths[i] = std::max(widths[i], width(row[i]));
    std::string out = line(headings, widths);
    for (const auto& row : rows_)
        out += line(row, widths);
    return out;
}

std::string as_bytes(std::uint64_t bytes)
{
    constexpr std::array<const char*, 6> units = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024)
        return std::to_string(bytes) + " B";
    auto value = static_cast<double>(bytes) / 1024;
    std::size_t unit = 0;
    for (; value >= 1023.95 && unit + 1 < units.size(); ++unit) // would print as 1024.0
        value /= 1024;
    std::array<char, 32> text{};
    const auto end =
        std::to_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed, 1);
    return std::string{text.data(), end.ptr} + ' ' + units[unit];
}

std::string as_duration(std::chrono::seconds duration)
{
    const std::int64_t seconds = duration.count();
    const std::int64_t minutes = seconds / 60;
    const std::int64_t hours = minutes / 60;
    if (minutes == 0)
        return std::to_string(seconds) + 's';
    if (hours == 0)
        return std::to_string(minutes) + "m " + two_digits(seconds % 60) + 's';
    if (hours < 24)
        return std::to_string(hours) + "h " + two_digits(minutes % 60) + 'm';
    return std::to_string(hours / 24) + "d " + two_digits(hours % 24) + 'h';
}

} // namespace manypath::ctl
