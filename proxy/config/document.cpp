// SPDX-License-Identifier: Apache-2.0
#include "proxy/config/document.hpp"

#include "proxy/config/values.hpp"

#include <algorithm>
#include <numeric>
#include <optional>

namespace manypath::config {

namespace {

unsigned line_of(const toml::node& node)
{
    return std::max(1U, static_cast<unsigned>(node.source().begin.line));
}

/// Levenshtein's distance: insertions, removals and replacements of one character.
std::size_t distance(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i + 1;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replaced, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}

/// The candidate that a mistyped `word` most probably meant, if one is near.
std::optional<std::string_view> nearest(std::string_view word, const words& candidates)
{
    constexpr std::size_t longest = 64; // keeps the cost down; no key is half as long
    if (candidates.empty() || word.size() > longest)
        return std::nullopt;
    const auto by_distance = [&](std::string_view c) { return distance(word, c); };
    const auto best = std::ranges::min(candidates, {}, by_distance);
    if (distance(word, best) > 1 + best.size() / 3)
        return std::nullopt;
    return best;
}

} // namespace

std::string joined(const words& list)
{
    std::string out;
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (i > 0)
            out += i + 1 == list.size() ? " or " : ", ";
        out += quoted(list[i]);
    }
    return out;
}

void defects::add(const toml::table* table, std::string_view key, unsigned line,
                  std::string message)
{
    entries_.emplace_back(table, std::string{key}, line, std::move(message));
}

bool defects::mentions(const toml::table* table, std::string_view key) const
{
    return std::ranges::any_of(entries_,
                               [&](const entry& e) { return e.table == table && e.key == key; });
}

std::vector<std::string> defects::messages(std::string_view file) const
{
    auto sorted = entries_;
    std::ranges::stable_sort(sorted, {}, &entry::line);
    std::vector<std::string> out;
    out.reserve(sorted.size());
    for (const auto& e : sorted)
        out.push_back(std::string{file} + ':' + std::to_string(e.line) + ": " + e.message);
    return out;
}

std::string section::path(std::string_view key) const
{
    return name_.empty() ? printable(key) : name_ + '.' + printable(key);
}

void section::wrong(std::string_view key, std::string_view message) const
{
    const toml::node* node = table_->get(key);
    wrong(key, node != nullptr ? *node : *table_, message);
}

void section::wrong(std::string_view key, const toml::node& element, std::string_view message) const
{
    found_->add(table_, key, line_of(element), path(key) + ": " + std::string{message});
}

void section::wrong_element(std::string_view key, std::size_t index, std::string_view message) const
{
    const toml::array* list = table_->get_as<toml::array>(key);
    if (list != nullptr && index < list->size())
        wrong(key, *list->get(index), message);
    else
        wrong(key, message);
}

std::vector<section> section::children(std::string_view key) const
{
    std::vector<section> out;
    if (const toml::array* list = table_->get_as<toml::array>(key))
        for (const toml::node& element : *list)
            if (const toml::table* table = element.as_table())
                out.push_back(child(key, *table));
    return out;
}

void section::unknown(std::string_view key, const toml::node& value, const words& known) const
{
    const auto guess = nearest(key, known);
    wrong(key, value,
          guess ? "unknown key; did you mean " + quoted(*guess) + '?'
                : "unknown key; allowed: " + joined(known));
}

std::string describe_type(const toml::node& node)
{
    switch (node.type()) {
    case toml::node_type::table:
        return "is a table";
    case toml::node_type::array:
        return "is a list";
    case toml::node_type::string:
        return "is a string";
    case toml::node_type::integer:
        return "is a whole number";
    case toml::node_type::floating_point:
        return "is a number with a fraction";
    case toml::node_type::boolean:
        return "is a truth value";
    case toml::node_type::date:
    case toml::node_type::time:
    case toml::node_type::date_time:
        return "is a date or time";
    case toml::node_type::none:
        break;
    }
    return "has no value";
}

} // namespace manypath::config
