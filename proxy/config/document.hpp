// document.hpp: a TOML document and the defects found in it.
//
// A defect is kept with the table and key it belongs to, so that a rule which compares keys can
// stay silent where one of them is wrong already: one mistake, one message.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <toml++/toml.h>
#include <vector>

namespace manypath::config {

using words = std::vector<std::string_view>;

/// `"a", "b" or "c"`
[[nodiscard]] std::string joined(const words& list);

class defects {
public:
    /// @param table    where the key is or should be; only its identity is kept
    /// @param key      within the table; empty: the whole table
    /// @param message  behind "FILE:LINE: "
    void add(const toml::table* table, std::string_view key, unsigned line, std::string message);

    [[nodiscard]] bool mentions(const toml::table* table, std::string_view key) const;
    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }

    /// All messages in the order of the file.
    [[nodiscard]] std::vector<std::string> messages(std::string_view file) const;

private:
    struct entry {
        const toml::table* table;
        std::string key;
        unsigned line;
        std::string message;
    };
    std::vector<entry> entries_;
};

/// One table of the document, such as one [[listen]]. Borrows table and defects.
class section {
public:
    /// @param name  what stands in front of a key in messages, such as "listen"; empty: top level
    section(const toml::table& table, std::string name, defects& found)
        : table_(&table), name_(std::move(name)), found_(&found)
    {
    }

    [[nodiscard]] const toml::table& table() const noexcept { return *table_; }
    [[nodiscard]] bool has(std::string_view key) const { return table_->contains(key); }
    /// Nothing is wrong with this key so far.
    [[nodiscard]] bool sound(std::string_view key) const { return !found_->mentions(table_, key); }

    /// "listen.mode"
    [[nodiscard]] std::string path(std::string_view key) const;

    /// Reports "KEY: MESSAGE" at the line of `key`, or of the table where the key is missing.
    void wrong(std::string_view key, std::string_view message) const;
    /// The same for one element of a list.
    void wrong(std::string_view key, const toml::node& element, std::string_view message) const;
    void wrong_element(std::string_view key, std::size_t index, std::string_view message) const;
    /// Reports a key that is none of `known`, with the one that was probably meant.
    void unknown(std::string_view key, const toml::node& value, const words& known) const;

    /// The table under `key`; only where it is one.
    [[nodiscard]] section child(std::string_view key, const toml::table& table) const
    {
        return {table, path(key), *found_};
    }
    /// The tables of the array under `key`, in the order of the file.
    [[nodiscard]] std::vector<section> children(std::string_view key) const;

private:
    const toml::table* table_;
    std::string name_;
    defects* found_;
};

/// "is a string", for a message about a wrong type.
[[nodiscard]] std::string describe_type(const toml::node& node);

} // namespace manypath::config
