// SPDX-License-Identifier: Apache-2.0
#include "proxy/config/parse.hpp"

#include "proxy/config/document.hpp"
#include "proxy/config/rules.hpp"
#include "proxy/config/schema.hpp"
#include "proxy/config/values.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <utility>

namespace manypath::config {

namespace {

constexpr std::size_t largest_bytes = std::size_t{1} << 20;

/// toml++ bounds the depth of values, but not of dotted keys, and recurses when it frees them.
constexpr unsigned deepest_key = 64;

/// The first line with a key of too many parts. Counts dots between the characters that end a key
/// or value, so that it needs no grammar; strings do not come near the bound.
std::optional<unsigned> overlong_key(std::string_view text)
{
    unsigned line = 1;
    unsigned dots = 0;
    for (const char c : text) {
        if (c == '.' && ++dots > deepest_key)
            return line;
        if (c == '\n')
            ++line;
        if (c == '\n' || c == ',' || c == '=')
            dots = 0;
    }
    return std::nullopt;
}

std::optional<toml::table> read_toml(std::string_view text, defects& found)
{
    if (text.size() > largest_bytes) {
        found.add(nullptr, {}, 1, "file: is too large; allowed: 1 MiB");
        return std::nullopt;
    }
    if (const auto line = overlong_key(text)) {
        found.add(nullptr, {}, *line, "syntax: a key has too many parts; allowed: 3");
        return std::nullopt;
    }
    try {
        return toml::parse(text);
    } catch (const toml::parse_error& e) {
        const auto line = std::max(1U, static_cast<unsigned>(e.source().begin.line));
        found.add(nullptr, {}, line,
                  "syntax: " + printable(e.description()) + "; allowed: TOML 1.0, see toml.io");
        return std::nullopt;
    }
}

bool preserves_source(const configuration& c)
{
    return std::ranges::any_of(c.listeners, &listen::preserve_source);
}

} // namespace

std::optional<std::string> read_file(const std::string& name)
{
    std::ifstream in{name, std::ios::binary};
    std::ostringstream text;
    if (in.peek() != std::ifstream::traits_type::eof())
        text << in.rdbuf();
    if (!in.is_open() || in.bad() || text.bad())
        return std::nullopt;
    return std::move(text).str();
}

std::expected<configuration, std::vector<std::string>> parse(std::string_view text,
                                                             std::string_view file)
{
    defects found;
    configuration result;
    if (const auto document = read_toml(text, found)) {
        const section top{*document, {}, found};
        read_document(top, result);
        check_rules(top, result);
    }
    if (!found.empty())
        return std::unexpected{found.messages(file)};
    return result;
}

std::vector<std::string> fixed_at_start(const configuration& started, const configuration& wanted)
{
    std::vector<std::string> keys;
    if (started.backend != wanted.backend)
        keys.emplace_back("backend");
    // The worker has given up CAP_NET_RAW for good where nothing asked for it.
    if (preserves_source(wanted) && !preserves_source(started))
        keys.emplace_back("listen.preserve_source");
    if (started.engine.attach != wanted.engine.attach)
        keys.emplace_back("engine.attach");
    if (started.control.socket != wanted.control.socket)
        keys.emplace_back("control.socket");
    return keys;
}

} // namespace manypath::config
