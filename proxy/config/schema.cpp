// schema.cpp: one list per TOML table, one line per key: its name, whether it is needed, and the
// reader that knows its type and says what is allowed.
//
// Defaults stand in config.hpp as initial values: a key that is missing or wrong leaves them alone.
// SPDX-License-Identifier: Apache-2.0
#include "proxy/config/schema.hpp"

#include "proxy/config/values.hpp"

#include <algorithm>
#include <functional>
#include <span>

namespace manypath::config {

namespace {

/// The key whose value is read, for messages about it.
struct place {
    const section& in;
    std::string_view key;
    std::string_view allowed;

    void wrong(const toml::node& at, std::string_view what) const
    {
        in.wrong(key, at, std::string{what} + "; allowed: " + std::string{allowed});
    }
};

template <typename T>
struct reader {
    std::string allowed; ///< ends the sentence "allowed: "
    std::function<void(const place&, const toml::node&, T&)> read;
    std::vector<std::string> inner; ///< the keys below, where the value is a table
};

enum class need { optional, required };

template <typename T>
struct key {
    std::string_view name;
    need needed;
    reader<T> value;
};

template <typename T>
using keys = std::vector<key<T>>;

template <typename T>
void read_section(const section& from, const keys<T>& schema, T& out)
{
    words names;
    for (const auto& k : schema)
        names.push_back(k.name);
    for (const auto& [name, node] : from.table()) {
        const auto found = std::ranges::find(schema, name.str(), &key<T>::name);
        if (found == schema.end())
            from.unknown(name.str(), node, names);
        else
            found->value.read(place{from, name.str(), found->value.allowed}, node, out);
    }
    for (const auto& k : schema)
        if (k.needed == need::required && !from.has(k.name))
            from.wrong(k.name, "is missing; allowed: " + k.value.allowed);
}

// Readers: each makes the reader of one key from the member it fills.

/// A string as a value; nothing where it is none, which has been reported then.
template <typename V>
std::optional<V> read_text(const place& at, const toml::node& node,
                           parsed<V> (*parse)(std::string_view))
{
    const auto* text = node.as_string();
    if (text == nullptr) {
        at.wrong(node, describe_type(node));
        return std::nullopt;
    }
    auto value = parse(text->get());
    if (value)
        return std::move(*value);
    at.wrong(node, value.error());
    return std::nullopt;
}

template <typename T, typename M, typename V>
reader<T> text(M T::* member, parsed<V> (*parse)(std::string_view), std::string allowed)
{
    const auto read = [=](const place& at, const toml::node& node, T& out) {
        if (auto value = read_text(at, node, parse))
            out.*member = std::move(*value);
    };
    return {std::move(allowed), read, {}};
}

/// One string or a list of at least one.
template <typename T, typename V>
reader<T> list(std::vector<V> T::* member, parsed<V> (*parse)(std::string_view),
               std::string allowed)
{
    const auto read = [=](const place& at, const toml::node& node, T& out) {
        const auto add = [&](const toml::node& element) {
            if (auto value = read_text(at, element, parse))
                (out.*member).push_back(std::move(*value));
        };
        const auto* elements = node.as_array();
        if (elements == nullptr)
            return add(node);
        if (elements->empty())
            at.wrong(node, "is an empty list");
        for (const auto& element : *elements)
            add(element);
    };
    return {std::move(allowed), read, {}};
}

template <typename E>
std::optional<E> read_choice(const place& at, const toml::node& node,
                             std::span<const choice<E>> choices)
{
    const auto* word = node.as_string();
    if (word == nullptr) {
        at.wrong(node, describe_type(node));
        return std::nullopt;
    }
    const auto found = std::ranges::find(choices, std::string_view{word->get()}, &choice<E>::name);
    if (found == choices.end())
        at.wrong(node, quoted(word->get()) + " is unknown");
    else if (!found->value)
        at.wrong(node, quoted(word->get()) + " is not available in this version");
    else
        return found->value;
    return std::nullopt;
}

template <typename E, std::size_t Size>
std::string allowed_words(const std::array<choice<E>, Size>& choices)
{
    words available;
    for (const auto& c : choices)
        if (c.value)
            available.push_back(c.name);
    return joined(available);
}

template <typename T, typename E, std::size_t Size>
reader<T> one_of(E T::* member, const std::array<choice<E>, Size>& choices)
{
    const auto read = [&choices, member](const place& at, const toml::node& node, T& out) {
        if (const auto value = read_choice<E>(at, node, choices))
            out.*member = *value;
    };
    return {allowed_words(choices), read, {}};
}

template <typename T>
reader<T> seconds(std::chrono::seconds T::* member, std::int64_t most)
{
    const auto read = [=](const place& at, const toml::node& node, T& out) {
        const auto* number = node.as_integer();
        if (number == nullptr)
            at.wrong(node, describe_type(node));
        else if (number->get() < 1 || number->get() > most)
            at.wrong(node, "is " + std::to_string(number->get()));
        else
            out.*member = std::chrono::seconds{number->get()};
    };
    return {"a whole number of seconds from 1 to " + std::to_string(most), read, {}};
}

template <typename T>
reader<T> truth(bool T::* member)
{
    const auto read = [=](const place& at, const toml::node& node, T& out) {
        if (const auto* value = node.as_boolean())
            out.*member = value->get();
        else
            at.wrong(node, describe_type(node));
    };
    return {"true or false", read, {}};
}

/// For a value that nothing reads yet: a file that has it right today is right tomorrow.
template <typename T>
reader<T> checked_truth()
{
    const auto read = [](const place& at, const toml::node& node, T&) {
        if (!node.is_boolean())
            at.wrong(node, describe_type(node));
    };
    return {"true or false", read, {}};
}

template <typename T>
reader<T> checked_word(words allowed)
{
    const auto read = [allowed](const place& at, const toml::node& node, T&) {
        const auto* word = node.as_string();
        if (word == nullptr)
            at.wrong(node, describe_type(node));
        else if (std::ranges::find(allowed, std::string_view{word->get()}) == allowed.end())
            at.wrong(node, quoted(word->get()) + " is unknown");
    };
    return {joined(allowed), read, {}};
}

/// @param complain  what is wrong with the text, empty if nothing
template <typename T>
reader<T> checked_text(std::string (*complain)(std::string_view), std::string allowed)
{
    const auto read = [=](const place& at, const toml::node& node, T&) {
        const auto* text = node.as_string();
        const auto complaint = text == nullptr ? describe_type(node) : complain(text->get());
        if (!complaint.empty())
            at.wrong(node, complaint);
    };
    return {std::move(allowed), read, {}};
}

template <typename T>
std::vector<std::string> paths_of(const keys<T>& schema)
{
    std::vector<std::string> out;
    for (const auto& k : schema) {
        out.emplace_back(k.name);
        for (const auto& below : k.value.inner)
            out.push_back(std::string{k.name} + '.' + below);
    }
    return out;
}

/// A table of its own; `M` is V or std::optional<V>.
template <typename V, typename T, typename M>
reader<T> table(M T::* member, const keys<V>& schema)
{
    const auto read = [member, &schema](const place& at, const toml::node& node, T& out) {
        const auto* inner = node.as_table();
        if (inner == nullptr)
            return at.wrong(node, describe_type(node));
        V value;
        read_section(at.in.child(at.key, *inner), schema, value);
        out.*member = std::move(value);
    };
    return {"a table of keys and values", read, paths_of(schema)};
}

/// Tables in double brackets; one value for each, so that both can be walked side by side.
template <typename V, typename T>
reader<T> tables(std::vector<V> T::* member, std::string heading, const keys<V>& schema)
{
    const auto read = [member, &schema](const place& at, const toml::node& node, T& out) {
        const auto* list = node.as_array();
        const bool all_tables = list != nullptr && std::ranges::all_of(*list, [](const auto& e) {
                                    return e.is_table();
                                });
        if (!all_tables)
            return at.wrong(node, describe_type(node));
        for (const auto& inner : at.in.children(at.key))
            read_section(inner, schema, (out.*member).emplace_back());
    };
    return {"any number of tables under " + std::move(heading), read, paths_of(schema)};
}

using flag = bool path_flags::*;
constexpr std::array<choice<flag>, 4> path_flag_words = {{
    {"subflow", &path_flags::subflow},
    {"signal", &path_flags::signal},
    {"backup", &path_flags::backup},
    {"fullmesh", &path_flags::fullmesh},
}};

reader<path> flags(path_flags path::* member)
{
    const auto read = [member](const place& at, const toml::node& node, path& out) {
        const auto* elements = node.as_array();
        if (elements == nullptr || elements->empty())
            return at.wrong(node, elements ? "is an empty list" : describe_type(node));
        path_flags wanted;
        for (const auto& element : *elements)
            if (const auto chosen = read_choice<flag>(at, element, path_flag_words))
                wanted.*(*chosen) = true;
        out.*member = wanted;
    };
    return {"a list of " + allowed_words(path_flag_words), read, {}};
}

std::string complain_of_via(std::string_view text)
{
    const auto next_hop = parse_destination(text);
    return next_hop ? "a Convert server as next hop is not available in this version"
                    : next_hop.error();
}

std::string complain_of_metrics(std::string_view text)
{
    if (text.empty())
        return {};
    const auto address = parse_endpoint(text);
    return address ? "metrics are not available in this version" : address.error();
}

// The schema.

constexpr auto addresses = "one address or a list, such as \"198.18.1.1\" or \"2001:db8::1\"";
constexpr auto prefixes = "one prefix or a list, such as \"198.18.0.0/15\" or \"2001:db8::1\"";
constexpr auto name = "a string of 1 to 32 letters, digits, dots, hyphens and underscores";
constexpr auto interface = "the name of a network interface, 1 to 15 bytes";

const keys<path> path_keys = {
    {"name", need::required, text(&path::name, parse_name, name)},
    {"interface", need::required, text(&path::interface, parse_interface, interface)},
    {"address", need::optional, list(&path::addresses, parse_path_address, addresses)},
    {"gateway", need::optional, list(&path::gateways, parse_gateway, addresses)},
    {"flags", need::optional, flags(&path::flags)},
};

const keys<intercept> intercept_keys = {
    {"interfaces", need::required,
     list(&intercept::interfaces, parse_interface, "one name of a network interface or a list")},
    {"ports", need::required,
     list(&intercept::ports, parse_ports, "one string or a list, such as \"443\" or \"1-65535\"")},
    {"except", need::optional, list(&intercept::except, parse_prefix, prefixes)},
};

const keys<listen> listen_keys = {
    {"name", need::required, text(&listen::name, parse_name, name)},
    {"mode", need::required, one_of(&listen::mode, listen_modes)},
    {"address", need::required,
     list(&listen::addresses, parse_endpoint,
          "one address with port or a list, such as \"0.0.0.0:1081\" or \"[::]:1081\"")},
    {"accept", need::optional, one_of(&listen::accept, protocols)},
    {"dial", need::optional, one_of(&listen::dial, protocols)},
    {"to", need::optional,
     text(&listen::to, parse_destination,
          "an address or name with port, such as \"198.18.2.2:80\", \"[2001:db8::1]:80\" or "
          "\"www.example.net:80\"")},
    {"via", need::optional, checked_text<listen>(complain_of_via, "no value; remove the key")},
    {"intercept", need::optional, table<intercept>(&listen::intercept, intercept_keys)},
    {"rules", need::optional, truth(&listen::rules)},
    {"preserve_source", need::optional, truth(&listen::preserve_source)},
    {"allow", need::optional, list(&listen::allow, parse_prefix, prefixes)},
};

const keys<timeouts> timeout_keys = {
    {"connect", need::optional, seconds(&timeouts::connect, 600)},
    {"idle", need::optional, seconds(&timeouts::idle, 604800)},
    {"half_close", need::optional, seconds(&timeouts::half_close, 604800)},
    {"drain", need::optional, seconds(&timeouts::drain, 86400)},
};

const keys<engine> engine_keys = {
    {"attach", need::optional, one_of(&engine::attach, attachments)},
    {"congestion", need::optional, checked_word<engine>({"cubic", "reno", "lia", "olia", "balia"})},
    {"scheduler", need::optional,
     checked_word<engine>({"drain-time", "min-rtt", "round-robin", "redundant", "blest"})},
    {"checksum", need::optional, checked_truth<engine>()},
};

const keys<control> control_keys = {
    {"socket", need::optional,
     text(&control::socket, parse_socket_path, "an absolute path of at most 107 bytes")},
    {"metrics", need::optional, checked_text<control>(complain_of_metrics, "\"\" (off)")},
};

const keys<configuration> top_keys = {
    {"backend", need::optional, one_of(&configuration::backend, backends)},
    {"path", need::optional, tables(&configuration::paths, "[[path]]", path_keys)},
    {"listen", need::optional, tables(&configuration::listeners, "[[listen]]", listen_keys)},
    {"timeouts", need::optional, table<timeouts>(&configuration::timeouts, timeout_keys)},
    {"engine", need::optional, table<engine>(&configuration::engine, engine_keys)},
    {"control", need::optional, table<control>(&configuration::control, control_keys)},
};

} // namespace

void read_document(const section& top, configuration& out)
{
    read_section(top, top_keys, out);
}

std::vector<std::string> known_keys()
{
    return paths_of(top_keys);
}

} // namespace manypath::config
