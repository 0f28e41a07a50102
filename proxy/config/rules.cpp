// rules.cpp: each function is one family of rules; the reason stands in its message.
//
// A rule looks only at keys that were read without a defect, so that one mistake gives one message.
// SPDX-License-Identifier: Apache-2.0
#include "proxy/config/rules.hpp"

#include "proxy/config/values.hpp"

#include <algorithm>
#include <map>
#include <span>
#include <sstream>

namespace manypath::config {

namespace {

bool overlap(const port_range& a, const port_range& b)
{
    return a.first <= b.last && b.first <= a.last;
}

bool overlap(const prefix& a, const prefix& b)
{
    return a.contains(b.address) || b.contains(a.address);
}

std::string written(const port_range& r)
{
    const auto first = std::to_string(r.first);
    return r.first == r.last ? first : first + '-' + std::to_string(r.last);
}

template <typename V>
std::string written(const V& value)
{
    std::ostringstream out;
    out << value;
    return std::move(out).str();
}

/// How messages call a path or listener.
std::string label(std::string_view kind, const std::string& name)
{
    return name.empty() ? "another " + std::string{kind} : std::string{kind} + ' ' + quoted(name);
}

/// Reports each element of a list whose like occurred before in any list.
/// @param key  of a list, or of a single value
template <typename V>
class once {
public:
    once(std::string_view key, std::string_view advice) : key_(key), advice_(advice) {}

    void check(const section& in, const std::vector<V>& values, const std::string& owner)
    {
        if (!in.sound(key_))
            return;
        for (std::size_t i = 0; i < values.size(); ++i) {
            const auto [before, fresh] = owners_.emplace(values[i], owner);
            if (!fresh)
                in.wrong_element(key_, i,
                                 quoted(written(values[i])) + " belongs to " + before->second +
                                     " already; allowed: " + advice_);
        }
    }

private:
    std::string key_;
    std::string advice_;
    std::map<V, std::string> owners_;
};

template <typename V>
void check_overlaps(const section& in, const char* key, const std::vector<V>& values)
{
    if (!in.sound(key))
        return;
    for (std::size_t i = 1; i < values.size(); ++i) {
        const auto before = values.begin() + static_cast<std::ptrdiff_t>(i);
        if (std::any_of(values.begin(), before, [&](const V& v) { return overlap(v, values[i]); }))
            in.wrong_element(key, i, "overlaps an element before it; allowed: disjoint elements");
    }
}

bool has_family(const std::vector<asio::ip::address>& list, bool v4)
{
    return std::ranges::any_of(list, [v4](const auto& a) { return a.is_v4() == v4; });
}

bool listens_on(const listen& l, bool v4)
{
    return std::ranges::any_of(l.addresses,
                               [v4](const endpoint& e) { return e.address().is_v4() == v4; });
}

// Paths.

void check_gateways(const section& in, const path& p)
{
    if (!in.sound("gateway") || !in.sound("address"))
        return;
    for (std::size_t i = 0; i < p.gateways.size(); ++i) {
        const bool v4 = p.gateways[i].is_v4();
        const std::string family = v4 ? "IPv4" : "IPv6";
        const std::span before{p.gateways.data(), i};
        if (std::ranges::any_of(before, [v4](const auto& g) { return g.is_v4() == v4; }))
            in.wrong_element("gateway", i,
                             "is a second " + family + " gateway; allowed: one of each family");
        if (!p.addresses.empty() && !has_family(p.addresses, v4))
            in.wrong_element("gateway", i,
                             "is " + family +
                                 ", and no address of the path is; "
                                 "allowed: a gateway of an address's family");
        if (std::ranges::find(p.addresses, p.gateways[i]) != p.addresses.end())
            in.wrong_element("gateway", i, "is the path's own address; allowed: the next router");
    }
}

void check_flags(const section& in, const path& p)
{
    if (!in.sound("flags"))
        return;
    if (p.flags.signal && p.flags.fullmesh)
        in.wrong("flags", "\"signal\" and \"fullmesh\" exclude each other, the kernel refuses the "
                          "pair; allowed: one of them");
    else if (p.flags.fullmesh && !p.flags.subflow)
        in.wrong("flags", "\"fullmesh\" alone has no effect; allowed: it together with "
                          "\"subflow\"");
}

/// A path without addresses takes all of its interface, which leaves none for another path.
void check_interfaces(const section& in, const std::vector<path>& paths, std::size_t index)
{
    if (!in.sound("interface") || !in.sound("address"))
        return;
    for (std::size_t other = 0; other < paths.size(); ++other) {
        const bool shared = other != index && paths[other].interface == paths[index].interface;
        if (shared && paths[index].addresses.empty())
            return in.wrong("interface", quoted(paths[index].interface) +
                                             " belongs to several paths, and this one names no "
                                             "address; allowed: `address` in each of them");
    }
}

void check_paths(const section& top, const std::vector<path>& paths)
{
    once<std::string> names{"name", "a name of its own for each path"};
    once<asio::ip::address> addresses{"address", "each address in one path"};
    const auto sections = top.children("path");
    for (std::size_t i = 0; i < std::min(sections.size(), paths.size()); ++i) {
        const auto owner = label("path", paths[i].name);
        names.check(sections[i], {paths[i].name}, owner);
        addresses.check(sections[i], paths[i].addresses, owner);
        check_interfaces(sections[i], paths, i);
        check_gateways(sections[i], paths[i]);
        check_flags(sections[i], paths[i]);
    }
}

// Listeners.

void only_in(const section& in, std::string_view key, listen_mode mode, listen_mode where)
{
    if (mode != where && in.has(key))
        in.wrong(key, "has no meaning with mode = " + quoted(name_of(mode)) +
                          "; allowed: only with mode = " + quoted(name_of(where)));
}

void check_mode(const section& in, const listen& l)
{
    if (!in.sound("mode"))
        return;
    only_in(in, "to", l.mode, listen_mode::forward);
    only_in(in, "intercept", l.mode, listen_mode::transparent);
    only_in(in, "rules", l.mode, listen_mode::transparent);
    only_in(in, "preserve_source", l.mode, listen_mode::transparent);
    if (l.mode == listen_mode::forward && !in.has("to"))
        in.wrong("to", "is missing; allowed: with mode = \"forward\" the server's address or name "
                       "with port");
    if (l.mode != listen_mode::transparent || !in.sound("rules"))
        return;
    if (l.rules && !in.has("intercept"))
        in.wrong("intercept",
                 "is missing; allowed: with mode = \"transparent\" the table that says "
                 "what to catch, or rules = false");
    if (!l.rules && in.has("intercept"))
        in.wrong("intercept", "has no effect with rules = false; allowed: one of the two");
}

/// The kernel compares an MP_JOIN's port with that of the listener which took the connection, so
/// that every intercepted port needs a listening socket of its own.
void check_joins(const section& listener, const section& in, const listen& l)
{
    if (l.accept != protocol::mptcp || !in.sound("ports") || !listener.sound("address"))
        return;
    const auto served = [&](std::uint32_t port, bool v4) {
        return std::ranges::any_of(l.addresses, [=](const endpoint& e) {
            return e.port() == port && e.address().is_v4() == v4;
        });
    };
    const auto all_served = [&](const port_range& r, bool v4) {
        for (std::uint32_t port = r.first; port <= r.last; ++port)
            if (!served(port, v4))
                return false;
        return true;
    };
    for (std::size_t i = 0; i < l.intercept->ports.size(); ++i)
        for (const bool v4 : {true, false})
            if (listens_on(l, v4) && !all_served(l.intercept->ports[i], v4))
                in.wrong_element("ports", i,
                                 written(l.intercept->ports[i]) + " is not served by an " +
                                     (v4 ? "IPv4" : "IPv6") +
                                     " address of the listener, and with accept = \"mptcp\" the "
                                     "kernel refuses further paths on any other port; allowed: "
                                     "ports that stand in `address`");
}

void check_intercept(const section& listener, const listen& l)
{
    const auto* table = listener.table().get_as<toml::table>("intercept");
    if (table == nullptr || !l.intercept)
        return;
    const auto in = listener.child("intercept", *table);
    check_overlaps(in, "ports", l.intercept->ports);
    check_overlaps(in, "except", l.intercept->except);
    if (listener.sound("mode") && l.mode == listen_mode::transparent)
        check_joins(listener, in, l);
}

/// The same traffic cannot go to two listeners.
bool catch_the_same(const listen& a, const listen& b)
{
    if (!a.intercept || !b.intercept || a.mode != b.mode)
        return false;
    const bool family = (listens_on(a, true) && listens_on(b, true)) ||
                        (listens_on(a, false) && listens_on(b, false));
    const bool port = std::ranges::any_of(a.intercept->ports, [&](const port_range& mine) {
        return std::ranges::any_of(b.intercept->ports,
                                   [&](const port_range& other) { return overlap(mine, other); });
    });
    const bool interface =
        std::ranges::find_first_of(a.intercept->interfaces, b.intercept->interfaces) !=
        a.intercept->interfaces.end();
    return family && port && interface;
}

void check_listeners(const section& top, const std::vector<listen>& listeners)
{
    once<std::string> names{"name", "a name of its own for each listener"};
    once<endpoint> addresses{"address", "each address and port in one listener"};
    const auto sections = top.children("listen");
    for (std::size_t i = 0; i < std::min(sections.size(), listeners.size()); ++i) {
        const auto owner = label("listener", listeners[i].name);
        names.check(sections[i], {listeners[i].name}, owner);
        addresses.check(sections[i], listeners[i].addresses, owner);
        check_mode(sections[i], listeners[i]);
        check_intercept(sections[i], listeners[i]);
        for (std::size_t before = 0; before < i; ++before)
            if (catch_the_same(listeners[before], listeners[i]))
                sections[i].wrong("intercept",
                                  "catches traffic that goes to " +
                                      label("listener", listeners[before].name) +
                                      " already; allowed: other interfaces or other ports");
    }
}

} // namespace

void check_rules(const section& top, const configuration& read)
{
    check_paths(top, read.paths);
    check_listeners(top, read.listeners);
    if (read.listeners.empty() && top.sound("listen"))
        top.wrong("listen", "there is none; allowed: at least one table under [[listen]]");
}

} // namespace manypath::config
