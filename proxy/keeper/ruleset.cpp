// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/ruleset.hpp"

#include "proxy/keeper/numbers.hpp"
#include "proxy/log/log.hpp"

#include <algorithm>
#include <iterator>
#include <unistd.h>
#include <vector>

namespace manypath::keeper {

namespace {

using outcome = std::expected<void, std::string>;

/// Runs commands as one transaction.
outcome run(nft_ctx* context, const std::string& commands)
{
    nft_ctx_buffer_output(context);
    nft_ctx_buffer_error(context);
    if (nft_run_cmd_from_buffer(context, commands.c_str()) == 0)
        return {};
    std::string said = nft_ctx_get_error_buffer(context);
    // Further lines repeat the commands, which the reader of a log has not written.
    said.erase(std::min(said.find('\n'), said.size()));
    return std::unexpected{std::move(said)};
}

std::string head(bool owned)
{
    return owned ? "flags owner;" : "";
}

template <typename Range, typename Format>
std::string set_of(const Range& values, Format format)
{
    std::string text;
    for (const auto& value : values)
        text += (text.empty() ? "" : ", ") + format(value);
    return "{ " + text + " }";
}

std::string ports_text(const config::port_range& r)
{
    return r.first == r.last ? fmt::format("{}", r.first) : fmt::format("{}-{}", r.first, r.last);
}

/// What every rule of a listener begins with in one family.
std::string conditions(const config::intercept& in, bool v6)
{
    std::vector<config::prefix> except;
    std::ranges::copy_if(in.except, std::back_inserter(except),
                         [=](const auto& p) { return p.address.is_v6() == v6; });
    const std::string family = v6 ? "ip6" : "ip";
    std::string text =
        fmt::format("    meta nfproto {} iifname {}", v6 ? "ipv6" : "ipv4",
                    set_of(in.interfaces, [](const auto& name) { return '"' + name + '"'; }));
    if (!except.empty())
        text += fmt::format(" {} daddr != {}", family, set_of(except, [](const auto& p) {
                                return fmt::format("{}/{}", p.address.to_string(), p.length);
                            }));
    return text;
}

std::string deliver(const endpoint& to)
{
    const auto& a = to.address();
    const std::string address = a.is_unspecified() ? ""
                                : a.is_v6()        ? "[" + a.to_string() + "]"
                                                   : a.to_string();
    return fmt::format("tproxy {} to {}:{} meta mark set meta mark | {:#x} accept\n",
                       a.is_v6() ? "ip6" : "ip", address, to.port(), intercept_mark);
}

/// TCP connections of any port go to the one listening socket of the family. For MPTCP each port
/// needs a socket of the same port: the kernel refuses an MP_JOIN whose port is not that of the
/// listener which took the connection (RFC 8684, section 3.2, leaves other ports to ADD_ADDR).
std::string listener_rules(const config::listen& l, bool v6)
{
    const std::string when = conditions(*l.intercept, v6);
    std::string text;
    for (const endpoint& e : l.addresses) {
        if (e.address().is_v6() != v6)
            continue;
        if (l.accept == protocol::tcp)
            return fmt::format("{} tcp dport {} {}", when, set_of(l.intercept->ports, ports_text),
                               deliver(e));
        const bool caught = std::ranges::any_of(l.intercept->ports, [&](const auto& r) {
            return r.first <= e.port() && e.port() <= r.last;
        });
        if (caught)
            text += fmt::format("{} tcp dport {} {}", when, e.port(), deliver(e));
    }
    return text;
}

/// A listening socket on all addresses would claim the packets of foreign connections that go to
/// its port, so it counts for nothing here. Connections do, because they outlive the rules that
/// began them and because preserve_source makes their address that of the client.
std::string chains_with(const std::string& rules)
{
    return fmt::format("  chain prerouting {{\n"
                       "    type filter hook prerouting priority mangle; policy accept;\n"
                       "    meta l4proto != tcp accept\n"
                       "    socket wildcard 1 goto intercept\n"
                       "    socket transparent 1 meta mark set meta mark | {:#x} accept\n"
                       "    goto intercept\n"
                       "  }}\n"
                       "  chain intercept {{\n"
                       "    fib daddr type != unicast return\n"
                       "{}"
                       "  }}\n",
                       intercept_mark, rules);
}

} // namespace

std::string intercept_chains(const config::configuration& c)
{
    std::string rules;
    for (const auto& l : c.listeners)
        if (l.mode == config::listen_mode::transparent && l.rules && l.intercept)
            rules += listener_rules(l, false) + listener_rules(l, true);
    return rules.empty() ? rules : chains_with(rules);
}

std::string connection_chains()
{
    return chains_with("");
}

std::expected<ruleset, std::string> ruleset::create(bool owned)
{
    context c{nft_ctx_new(NFT_CTX_DEFAULT)};
    if (!c)
        return std::unexpected{std::string{"nftables: cannot open netlink"}};
    const auto made =
        run(c.get(), fmt::format("create table inet {} {{ {} }}", table_name, head(owned)));
    if (!made)
        return std::unexpected{made.error()};
    return ruleset{std::move(c), owned};
}

bool ruleset::exists()
{
    const context c{nft_ctx_new(NFT_CTX_DEFAULT)};
    return c && run(c.get(), fmt::format("list table inet {}", table_name));
}

bool ruleset::kernel_ties_tables()
{
    const context c{nft_ctx_new(NFT_CTX_DEFAULT)};
    return c && run(c.get(), fmt::format("create table inet {}-probe-{} {{ flags owner; }}",
                                         table_name, ::getpid()));
}

outcome ruleset::replace(const std::string& chains)
{
    // The first line matters only if libnftables had to open another socket, which ends the table.
    return run(context_.get(), fmt::format("table inet {0} {{ {1} }}\n"
                                           "flush table inet {0}\n"
                                           "table inet {0} {{ {1}\n{2}}}\n",
                                           table_name, head(owned_), chains));
}

outcome delete_table(const std::string& name)
{
    const std::unique_ptr<nft_ctx, decltype(&nft_ctx_free)> c{nft_ctx_new(NFT_CTX_DEFAULT),
                                                              nft_ctx_free};
    if (!c)
        return std::unexpected{std::string{"nftables: cannot open netlink"}};
    return run(c.get(), fmt::format("add table inet {0}; delete table inet {0}", name));
}

} // namespace manypath::keeper
