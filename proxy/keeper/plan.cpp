// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/plan.hpp"

#include "proxy/keeper/numbers.hpp"
#include "proxy/log/log.hpp"

#include <algorithm>

namespace manypath::keeper {

namespace {

constexpr std::uint32_t loopback_index = 1; // of every network namespace

config::prefix everything(bool v6)
{
    return {.address = v6 ? ip_address{asio::ip::address_v6{}} : ip_address{asio::ip::address_v4{}},
            .length = 0};
}

bool is_link_local(const ip_address& a)
{
    return a.is_v6() && (a.to_v6().is_link_local() || a.to_v6().is_multicast());
}

/// One path while its steps are collected.
class path_planner {
public:
    path_planner(const config::configuration& c, const config::path& p, const network_state& n,
                 plan& out)
        : config_(c), path_(p), network_(n), out_(out)
    {
    }

    void collect(path_tables& tables, const plan_options& options)
    {
        link_ = network_.find_link(path_.interface);
        if (link_ == nullptr)
            return warn(
                fmt::format("there is no interface {}; unused until it appears", path_.interface));
        if (!link_->up)
            warn(fmt::format("{} is down", path_.interface));
        const auto addresses = own_addresses();
        if (addresses.empty())
            return warn(
                fmt::format("{} has no address for it; unused until it gets one", path_.interface));
        table_ = tables.table_of(path_.name);
        if (table_ == 0)
            return warn("no routing table is left for it");
        for (const bool v6 : {false, true})
            if (std::ranges::any_of(addresses, [=](const auto& a) { return a.is_v6() == v6; }))
                fill_table(v6);
        for (const auto& a : addresses)
            add(policy_rule{
                .v6 = a.is_v6(), .from = a, .table = table_, .priority = path_priority});
        if (options.mptcp)
            for (const auto& a : addresses)
                add(path_endpoint{
                    .address = a, .interface = link_->index, .flags = path_.flags, .id = 0});
    }

private:
    void warn(const std::string& text)
    {
        out_.warnings.push_back(fmt::format("path \"{}\": {}", path_.name, text));
    }

    void add(step s)
    {
        const bool doubled =
            std::ranges::any_of(out_.steps, [&](const auto& p) { return compete(p.what, s); });
        if (!doubled)
            out_.steps.push_back({path_.name, std::move(s)});
    }

    std::vector<ip_address> own_addresses()
    {
        std::vector<ip_address> result;
        const auto on_link = [&](const ip_address& a) {
            return std::ranges::any_of(network_.addresses, [&](const link_address& other) {
                return other.interface == link_->index && other.address == a;
            });
        };
        for (const auto& a : path_.addresses) {
            if (on_link(a))
                result.push_back(a);
            else
                warn(fmt::format("{} is no address of {}", a.to_string(), path_.interface));
        }
        if (path_.addresses.empty())
            for (const auto& a : network_.addresses)
                if (a.interface == link_->index && a.usable)
                    result.push_back(a.address);
        return result;
    }

    /// Traffic from the path's address leaves by the path. Networks behind interfaces that are no
    /// path, such as the clients' one, stay reachable from it: a client may talk to this address.
    void fill_table(bool v6)
    {
        for (const route& r : network_.main_routes)
            if (r.to.address.is_v6() == v6 && r.to.length != 0 && !is_link_local(r.to.address) &&
                !leaves_by_other_path(r))
                add(route{.kind = route_kind::unicast,
                          .table = table_,
                          .to = r.to,
                          .gateway = r.gateway,
                          .interface = r.interface,
                          .metric = r.metric});
        const auto defaults = default_routes(v6);
        for (const route& r : defaults)
            add(r);
        if (defaults.empty())
            return warn(fmt::format("no IPv{} gateway is known for {}; what lies behind one is "
                                    "reached by the main routing table",
                                    v6 ? 6 : 4, path_.interface));
        add(route{.kind = route_kind::unreachable,
                  .table = table_,
                  .to = everything(v6),
                  .gateway = std::nullopt,
                  .metric = unreachable_metric});
    }

    [[nodiscard]] bool leaves_by_other_path(const route& r) const
    {
        return r.interface != link_->index &&
               std::ranges::any_of(config_.paths, [&](const config::path& other) {
                   const link* l = network_.find_link(other.interface);
                   return l != nullptr && l->index == r.interface;
               });
    }

    [[nodiscard]] std::vector<route> default_routes(bool v6) const
    {
        std::vector<route> result;
        const auto take = [&](const std::optional<ip_address>& gateway) {
            result.push_back({.kind = route_kind::unicast,
                              .table = table_,
                              .to = everything(v6),
                              .gateway = gateway,
                              .interface = link_->index,
                              .metric = static_cast<std::uint32_t>(result.size() + 1)});
        };
        for (const auto& g : path_.gateways)
            if (g.is_v6() == v6)
                take(g);
        if (!path_.gateways.empty())
            return result;
        for (const route& r : network_.main_routes)
            if (r.to.length == 0 && r.to.address.is_v6() == v6 && r.interface == link_->index)
                take(r.gateway);
        return result;
    }

    const config::configuration& config_;
    const config::path& path_;
    const network_state& network_;
    plan& out_;
    const link* link_ = nullptr;
    std::uint32_t table_ = 0;
};

bool intercepts(const config::listen& l, bool v6)
{
    return l.mode == config::listen_mode::transparent &&
           std::ranges::any_of(l.addresses,
                               [=](const auto& e) { return e.address().is_v6() == v6; });
}

/// Marked packets look into a table in which every address is local.
void plan_interception(const config::configuration& c, plan& out)
{
    for (const bool v6 : {false, true}) {
        if (std::ranges::none_of(c.listeners, [=](const auto& l) { return intercepts(l, v6); }))
            continue;
        out.steps.push_back({"", route{.kind = route_kind::local,
                                       .table = intercept_table,
                                       .to = everything(v6),
                                       .gateway = std::nullopt,
                                       .interface = loopback_index}});
        out.steps.push_back({"", policy_rule{.v6 = v6,
                                             .from = std::nullopt,
                                             .table = intercept_table,
                                             .priority = intercept_priority}});
    }
}

/// With this switch on (wg-quick does it for `all`) the check of a packet's source follows its mark
/// into our table, finds a local address and drops the packet as spoofed.
void plan_source_checks(const config::configuration& c, plan& out)
{
    for (const config::listen& l : c.listeners) {
        if (!l.intercept || !l.rules)
            continue;
        std::vector<std::string> names = l.intercept->interfaces;
        names.emplace_back("all");
        for (const auto& name : names)
            out.steps.push_back(
                {"", sysctl_setting{"net/ipv4/conf/" + name + "/src_valid_mark", {}, "0"}});
    }
}

/// What the kernel allows for each connection must carry all of our paths; on the accepting side
/// the peer's subflows count as well.
void plan_limits(const config::configuration& c, plan& out)
{
    std::uint32_t endpoints = 0;
    std::uint32_t subflows = 0;
    for (const planned_step& p : out.steps)
        if (const auto* e = std::get_if<path_endpoint>(&p.what)) {
            ++endpoints;
            subflows += e->flags.subflow || e->flags.fullmesh ? 1 : 0;
        }
    if (endpoints == 0)
        return;
    const bool mesh = std::ranges::any_of(c.paths, [](const auto& p) { return p.flags.fullmesh; });
    const std::uint32_t needed = mesh ? endpoints * endpoints : endpoints;
    // A server's further addresses are of use only to a side that opens subflows.
    const kernel::mptcp_limits limits{.subflows = std::min(needed, most_subflows),
                                      .add_addr_accepted = std::min(subflows, most_subflows)};
    out.steps.push_back({"", raised_limits{.before = {}, .after = limits}});
}

} // namespace

std::uint32_t path_tables::table_of(const std::string& path)
{
    if (const auto known = tables_.find(path); known != tables_.end())
        return known->second;
    for (std::uint32_t t = first_path_table; t < first_path_table + path_table_count; ++t) {
        if (std::ranges::any_of(tables_, [=](const auto& entry) { return entry.second == t; }))
            continue;
        tables_.emplace(path, t);
        return t;
    }
    return 0;
}

void path_tables::keep_only(const std::vector<config::path>& paths)
{
    std::erase_if(tables_, [&](const auto& entry) {
        return std::ranges::find(paths, entry.first, &config::path::name) == paths.end();
    });
}

plan make_plan(const config::configuration& c, const network_state& network, path_tables& tables,
               const plan_options& options)
{
    plan out;
    plan_interception(c, out);
    plan_source_checks(c, out);
    for (const config::path& p : c.paths)
        path_planner{c, p, network, out}.collect(tables, options);
    plan_limits(c, out);
    // One SYN that a middlebox swallows would switch MPTCP off for everybody for an hour or more;
    // the worker remembers single destinations instead.
    const bool dials = std::ranges::any_of(
        c.listeners, [](const config::listen& l) { return l.dial == protocol::mptcp; });
    if (dials && options.mptcp && options.sysctls)
        out.steps.push_back({"", sysctl_setting{"net/mptcp/blackhole_timeout", {}, "0"}});
    return out;
}

} // namespace manypath::keeper
