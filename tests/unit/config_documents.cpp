// config_documents.cpp: parser, config/manypathd.toml, the examples and the manual say the same.
//
// In manypathd.toml a line "#key = value" is a key to switch on; "# default" at its end says that
// it may as well be left out. In the manual a key is ".It Ic KEY", its default the line after
// "Default:".
// SPDX-License-Identifier: Apache-2.0
#include "proxy/config/parse.hpp"
#include "proxy/config/schema.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>
#include <regex>
#include <set>
#include <sstream>

using namespace manypath;
using namespace manypath::config;

namespace {

const std::filesystem::path source = MANYPATH_SOURCE_DIR;

std::string read_file(const std::filesystem::path& path)
{
    std::ifstream in{path};
    CAPTURE(path);
    REQUIRE(in.good());
    return {std::istreambuf_iterator<char>{in}, {}};
}

std::vector<std::string> lines_of(const std::string& text)
{
    std::vector<std::string> out;
    std::istringstream in{text};
    for (std::string line; std::getline(in, line);)
        out.push_back(line);
    return out;
}

configuration accepted(const std::string& text)
{
    auto result = parse(text, "text");
    CAPTURE(text, result ? std::vector<std::string>{} : result.error());
    REQUIRE(result.has_value());
    return *result;
}

/// A key of config/manypathd.toml, switched on or not.
struct setting {
    std::string path; ///< "listen.accept"
    std::string value;
    std::string note; ///< the comment behind it: "default", "not available in this version", none
    std::size_t line = 0;
};

/// config/manypathd.toml with everything switched on that this version has.
struct complete_file {
    std::vector<std::string> lines;
    std::set<std::string> tables; ///< "listen", "listen.intercept", ...
    std::vector<setting> settings;

    complete_file()
    {
        const std::regex heading{R"(#?\[\[?([a-z.]+)\]\]?)"};
        const std::regex key{R"(#?([a-z_]+) = ([^#]*[^# ])(?: # (.*))?)"};
        std::string table;
        std::smatch match;
        for (const auto& line : lines_of(read_file(source / "config/manypathd.toml"))) {
            lines.push_back(line);
            if (std::regex_match(line, match, heading)) {
                table = match[1].str() + '.';
                tables.insert(match[1]);
            } else if (std::regex_match(line, match, key)) {
                settings.push_back({table + match[1].str(), match[2], match[3], lines.size() - 1});
            } else {
                CAPTURE(line);
                CHECK((line.empty() || line.starts_with("# ") || line == "#"));
                continue;
            }
            if (line.front() == '#' && match[3] != "not available in this version")
                lines.back().erase(0, 1);
        }
    }

    [[nodiscard]] std::string text(std::optional<std::size_t> without = std::nullopt) const
    {
        std::string out;
        for (std::size_t i = 0; i < lines.size(); ++i)
            if (i != without)
                out += lines[i] + '\n';
        return out;
    }
};

std::string plain(std::string roff)
{
    roff = std::regex_replace(roff, std::regex{R"(\\\(dq)"}, "\"");
    return std::regex_replace(roff, std::regex{R"(\\-)"}, "-");
}

/// The keys of manypathd.toml(5) with their defaults, empty where they have none.
std::map<std::string, std::string> manual()
{
    std::map<std::string, std::string> out;
    std::string key;
    const auto lines = lines_of(read_file(source / "man/manypathd.toml.5"));
    std::smatch match;
    for (std::size_t i = 0; i + 1 < lines.size(); ++i) {
        if (std::regex_match(lines[i], match, std::regex{R"(\.It Ic (\S+))"}))
            out[key = match[1]] = "";
        if (lines[i] == "Default:" &&
            std::regex_match(lines[i + 1], match, std::regex{R"(\.Li (.*) \.)"}))
            out[key] = plain(match[1]);
    }
    return out;
}

} // namespace

TEST_CASE("config/manypathd.toml is valid as it stands and with everything switched on",
          "[config][documents]")
{
    const auto shipped = accepted(read_file(source / "config/manypathd.toml"));
    CHECK(shipped.listeners.size() == 1);
    const complete_file file;
    const auto all = accepted(file.text());
    CHECK(all.listeners.size() == 4);
    CHECK(all.paths.size() == 2);
}

TEST_CASE("config/manypathd.toml and the parser have the same keys", "[config][documents]")
{
    const complete_file file;
    auto written = file.tables;
    for (const auto& s : file.settings)
        written.insert(s.path);
    const auto known = known_keys();
    CHECK(written == std::set<std::string>(known.begin(), known.end()));
}

// Goal: what the file calls a default is one. Method: leave it out; nothing changes.
TEST_CASE("a default of config/manypathd.toml is the parser's", "[config][documents]")
{
    const complete_file file;
    const auto all = accepted(file.text());
    std::size_t defaults = 0;
    for (const auto& s : file.settings)
        if (s.note == "default") {
            CAPTURE(s.path);
            CHECK(accepted(file.text(s.line)) == all);
            ++defaults;
        }
    CHECK(defaults >= 15);
}

TEST_CASE("manypathd.toml(5) has every key with the file's default", "[config][documents]")
{
    const auto pages = manual();
    const complete_file file;
    std::map<std::string, std::string> defaults;
    for (const auto& s : file.settings)
        if (s.note == "default")
            defaults[s.path] = s.value;
    std::set<std::string> keys;
    for (const auto& [key, value] : pages) {
        CAPTURE(key);
        keys.insert(key);
        const auto found = defaults.find(key);
        CHECK(value == (found == defaults.end() ? "" : found->second));
    }
    std::set<std::string> expected = {"listen.intercept"};
    for (const auto& s : file.settings)
        expected.insert(s.path);
    CHECK(keys == expected);
}

TEST_CASE("every example is valid", "[config][documents]")
{
    std::size_t examples = 0;
    for (const auto& entry : std::filesystem::directory_iterator{source / "config/examples"}) {
        accepted(read_file(entry.path()));
        ++examples;
    }
    CHECK(examples >= 3);
}

TEST_CASE("the example in the manual is valid", "[config][documents]")
{
    const auto page = read_file(source / "man/manypathd.toml.5");
    const auto begin = page.find("[[path]]\nname");
    const auto end = page.find(".Ed", begin);
    REQUIRE(end != std::string::npos);
    CHECK(accepted(page.substr(begin, end - begin)).paths.size() == 2);
}
