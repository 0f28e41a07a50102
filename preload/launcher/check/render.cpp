// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/check/render.hpp"

#include <algorithm>

namespace manypath::launcher {

namespace {

std::string_view name_of(level severity)
{
    switch (severity) {
    case level::ok:
        return "ok";
    case level::note:
        return "note";
    case level::problem:
        break;
    }
    return "problem";
}

std::string member(std::string_view name, std::string_view text)
{
    return json_string(name) + ": " + json_string(text);
}

std::string to_json(const finding& f)
{
    return "{" + member("id", f.id) + ", " + member("level", name_of(f.severity)) + ", " +
           member("text", f.text) + ", " + member("fix", f.fix) + "}";
}

std::string to_json(const target_result& target)
{
    std::string subflows;
    for (const std::string& subflow : target.subflows)
        subflows += (subflows.empty() ? "" : ", ") + json_string(subflow);
    return "{" + member("host", target.host) + ", " + member("port", target.port) + ", " +
           member("peer", target.peer) + ", \"mptcp\": " + (target.mptcp ? "true" : "false") +
           ", \"subflows\": [" + subflows + "]}";
}

} // namespace

bool has_problem(const check_result& result)
{
    return std::ranges::any_of(result.found,
                               [](const finding& f) { return f.severity == level::problem; });
}

std::string render_text(const check_result& result)
{
    std::string text;
    for (const finding& f : result.found) {
        std::string label{name_of(f.severity)};
        label.resize(9, ' ');
        text += label + f.text + "\n";
        if (!f.fix.empty())
            text += std::string(9, ' ') + "-> " + f.fix + "\n";
    }
    const auto problems = std::ranges::count(result.found, level::problem, &finding::severity);
    if (problems == 0)
        return text + "no problem found\n";
    return text + std::to_string(problems) + (problems == 1 ? " problem" : " problems") +
           " found\n";
}

std::string render_json(const check_result& result)
{
    std::string list;
    for (const finding& f : result.found)
        list += (list.empty() ? "\n    " : ",\n    ") + to_json(f);
    std::string text = "{\n  \"version\": 1,\n  " +
                       member("result", has_problem(result) ? "problem" : "ok") +
                       ",\n  \"findings\": [" + list + "\n  ]";
    if (result.target)
        text += ",\n  \"target\": " + to_json(*result.target);
    return text + "\n}\n";
}

std::string json_string(std::string_view text)
{
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += {'\\', c};
        } else if (static_cast<unsigned char>(c) < 0x20) {
            constexpr std::string_view digits = "0123456789abcdef";
            const auto code = static_cast<unsigned char>(c);
            out += {'\\', 'u', '0', '0', digits[code / 16], digits[code % 16]};
        } else {
            out += c;
        }
    }
    return out + "\"";
}

} // namespace manypath::launcher
