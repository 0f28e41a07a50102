// step_text.cpp: steps as lines of the journal and as words in messages.
// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/step.hpp"

#include "proxy/log/log.hpp"

#include <iterator>
#include <sstream>

namespace manypath::keeper {

namespace {

constexpr std::string_view none = "-";

std::string text(const std::optional<ip_address>& a)
{
    return a ? a->to_string() : std::string{none};
}

/// Reads words; the first that does not fit spoils the rest.
class words {
public:
    explicit words(std::string_view line) : in_(std::string{line}) {}

    template <typename Number>
    Number number()
    {
        std::uint64_t value = 0;
        in_ >> value;
        return static_cast<Number>(value);
    }
    std::string word()
    {
        std::string w;
        in_ >> w;
        return w;
    }
    ip_address address()
    {
        const std::string w = word();
        boost::system::error_code ec;
        auto a = asio::ip::make_address(w, ec);
        if (ec)
            in_.setstate(std::ios::failbit);
        return a;
    }
    std::optional<ip_address> optional_address()
    {
        in_ >> std::ws;
        if (in_.peek() != none.front())
            return address();
        (void)word();
        return std::nullopt;
    }
    /// What is left, for names that may hold spaces.
    std::string rest()
    {
        in_ >> std::ws;
        return {std::istreambuf_iterator<char>{in_}, {}};
    }
    [[nodiscard]] bool sound() const { return !in_.fail(); }

private:
    std::istringstream in_;
};

std::string line_of(const policy_rule& r)
{
    return fmt::format("rule {} {} {} {}", r.v6 ? 6 : 4, r.priority, r.table, text(r.from));
}

std::string line_of(const route& r)
{
    return fmt::format("route {} {} {} {} {} {} {}", static_cast<int>(r.kind), r.table,
                       r.to.address.to_string(), r.to.length, r.metric, r.interface,
                       text(r.gateway));
}

std::string line_of(const path_endpoint& e)
{
    const auto& f = e.flags;
    return fmt::format("endpoint {} {} {} {:d} {:d} {:d} {:d}", e.address.to_string(), e.id,
                       e.interface, f.subflow, f.signal, f.backup, f.fullmesh);
}

std::string line_of(const raised_limits& l)
{
    return fmt::format("limits {} {} {} {}", l.before.subflows, l.before.add_addr_accepted,
                       l.after.subflows, l.after.add_addr_accepted);
}

std::string line_of(const sysctl_setting& s)
{
    return fmt::format("sysctl {} {} {}", s.name, s.before, s.after);
}

std::string line_of(const nft_table& t)
{
    return "table " + t.name;
}

std::string line_of(const socket_file& s)
{
    return "socket " + s.path;
}

std::string line_of(const directory& d)
{
    return "directory " + d.path;
}

// The braces of an aggregate are evaluated from left to right, which is the order of the words.
std::optional<step> read_step(const std::string& kind, words& in)
{
    if (kind == "rule") {
        policy_rule r;
        r.v6 = in.number<unsigned>() == 6;
        r.priority = in.number<std::uint32_t>();
        r.table = in.number<std::uint32_t>();
        r.from = in.optional_address();
        return r;
    }
    if (kind == "route") {
        const auto route_type = in.number<std::uint8_t>();
        route r{.kind = static_cast<route_kind>(route_type),
                .table = in.number<std::uint32_t>(),
                .to = {.address = in.address(), .length = in.number<unsigned>()},
                .gateway = std::nullopt};
        r.metric = in.number<std::uint32_t>();
        r.interface = in.number<std::uint32_t>();
        r.gateway = in.optional_address();
        return r;
    }
    if (kind == "endpoint") {
        path_endpoint e;
        e.address = in.address();
        e.id = in.number<std::uint8_t>();
        e.interface = in.number<std::uint32_t>();
        for (bool* flag : {&e.flags.subflow, &e.flags.signal, &e.flags.backup, &e.flags.fullmesh})
            *flag = in.number<unsigned>() != 0;
        return e;
    }
    if (kind == "limits") {
        raised_limits l;
        for (auto* value : {&l.before.subflows, &l.before.add_addr_accepted, &l.after.subflows,
                            &l.after.add_addr_accepted})
            *value = in.number<std::uint32_t>();
        return l;
    }
    if (kind == "sysctl")
        return sysctl_setting{.name = in.word(), .before = in.word(), .after = in.word()};
    if (kind == "table")
        return nft_table{in.word()};
    if (kind == "socket")
        return socket_file{in.rest()};
    if (kind == "directory")
        return directory{in.rest()};
    return std::nullopt;
}

std::string words_for(const policy_rule& r)
{
    return r.from ? fmt::format("rule for packets from {}", r.from->to_string())
                  : fmt::format("rule for intercepted IPv{} packets", r.v6 ? 6 : 4);
}

std::string words_for(const route& r)
{
    return fmt::format("route to {}/{} in table {}", r.to.address.to_string(), r.to.length,
                       r.table);
}

std::string words_for(const path_endpoint& e)
{
    return fmt::format("MPTCP endpoint {}", e.address.to_string());
}

std::string words_for(const raised_limits&)
{
    return "MPTCP limits";
}

std::string words_for(const sysctl_setting& s)
{
    return fmt::format("sysctl {}", s.name);
}

std::string words_for(const nft_table& t)
{
    return fmt::format("nft table inet {}", t.name);
}

std::string words_for(const socket_file& s)
{
    return s.path;
}

std::string words_for(const directory& d)
{
    return d.path;
}

} // namespace

std::string to_line(const step& s)
{
    return std::visit([](const auto& value) { return line_of(value); }, s);
}

std::optional<step> parse_line(std::string_view line)
{
    words in{line};
    const std::string kind = in.word();
    auto result = read_step(kind, in);
    if (!in.sound())
        return std::nullopt;
    return result;
}

std::string describe(const step& s)
{
    return std::visit([](const auto& value) { return words_for(value); }, s);
}

} // namespace manypath::keeper
