// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/step.hpp"

#include "proxy/keeper/routing.hpp"
#include "proxy/keeper/ruleset.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sys/stat.h>
#include <unistd.h>

namespace manypath::keeper {

namespace {

using kernel::mptcp_endpoint;
using kernel::mptcp_limits;
using kernel::path_manager;
using outcome = std::expected<void, std::string>;

std::string explain(const path_manager& pm, const std::error_code& failed)
{
    return pm.explanation().empty() ? failed.message() : pm.explanation();
}

std::unexpected<std::string> words_of(int number)
{
    return std::unexpected{std::generic_category().message(number)};
}

mptcp_endpoint to_kernel(const path_endpoint& e)
{
    mptcp_endpoint result;
    if (e.address.is_v4()) {
        result.address = in_addr{htonl(e.address.to_v4().to_uint())};
    } else {
        in6_addr v6{};
        const auto bytes = e.address.to_v6().to_bytes();
        std::memcpy(&v6, bytes.data(), bytes.size());
        result.address = v6;
    }
    result.id = e.id;
    result.interface = e.interface;
    result.subflow = e.flags.subflow;
    result.signal = e.flags.signal;
    result.backup = e.flags.backup;
    result.fullmesh = e.flags.fullmesh;
    return result;
}

bool same_address(const mptcp_endpoint& a, const mptcp_endpoint& b)
{
    if (a.address.index() != b.address.index())
        return false;
    if (const auto* v4 = std::get_if<in_addr>(&a.address))
        return v4->s_addr == std::get<in_addr>(b.address).s_addr;
    return IN6_ARE_ADDR_EQUAL(&std::get<in6_addr>(a.address), &std::get<in6_addr>(b.address));
}

std::expected<std::string, std::string> read_sysctl(const std::string& name)
{
    std::ifstream in{"/proc/sys/" + name};
    std::string value;
    if (!(in >> value))
        return std::unexpected{std::string{"cannot be read"}};
    return value;
}

outcome write_sysctl(const std::string& name, const std::string& value)
{
    std::ofstream out{"/proc/sys/" + name};
    out << value << std::flush;
    if (!out)
        return words_of(errno);
    return {};
}

outcome ignore_absence(int result)
{
    if (result == 0 || errno == ENOENT || errno == ENOTEMPTY)
        return {};
    return words_of(errno);
}

// prepare

template <typename Step>
std::expected<bool, std::string> prepare_one(Step&)
{
    return true;
}

/// The id is ours to choose, because undoing by id cannot hit an endpoint that somebody else has
/// made with this address meanwhile.
std::expected<bool, std::string> prepare_one(path_endpoint& e)
{
    auto pm = path_manager::open();
    if (!pm)
        return std::unexpected{pm.error().message()};
    const auto present = pm->endpoints();
    if (!present)
        return std::unexpected{present.error().message()};
    const mptcp_endpoint wanted = to_kernel(e);
    const auto same = std::ranges::find_if(
        *present, [&](const mptcp_endpoint& other) { return same_address(other, wanted); });
    if (same != present->end() && !same->implicit)
        return false;
    for (unsigned id = 255; id > 0; --id) {
        if (std::ranges::any_of(*present, [&](const auto& other) { return other.id == id; }))
            continue;
        e.id = static_cast<std::uint8_t>(id);
        return true;
    }
    return std::unexpected{std::string{"all 255 endpoint ids are taken"}};
}

std::expected<bool, std::string> prepare_one(raised_limits& l)
{
    auto pm = path_manager::open();
    if (!pm)
        return std::unexpected{pm.error().message()};
    const auto present = pm->limits();
    if (!present)
        return std::unexpected{present.error().message()};
    l.before = *present;
    l.after.subflows = std::max(l.after.subflows, present->subflows);
    l.after.add_addr_accepted = std::max(l.after.add_addr_accepted, present->add_addr_accepted);
    return l.after.subflows != present->subflows ||
           l.after.add_addr_accepted != present->add_addr_accepted;
}

std::expected<bool, std::string> prepare_one(sysctl_setting& s)
{
    const auto present = read_sysctl(s.name);
    if (!present)
        return false; // this kernel has no such thing to put right
    s.before = *present;
    return s.before != s.after;
}

// make

outcome make_one(const policy_rule& r)
{
    return add(r);
}

outcome make_one(const route& r)
{
    return add(r);
}

outcome make_one(const path_endpoint& e)
{
    auto pm = path_manager::open();
    if (!pm)
        return std::unexpected{pm.error().message()};
    if (const auto failed = pm->add(to_kernel(e)))
        return std::unexpected{explain(*pm, failed)};
    return {};
}

outcome make_one(const raised_limits& l)
{
    auto pm = path_manager::open();
    if (!pm)
        return std::unexpected{pm.error().message()};
    if (const auto failed = pm->set(l.after))
        return std::unexpected{explain(*pm, failed)};
    return {};
}

outcome make_one(const sysctl_setting& s)
{
    return write_sysctl(s.name, s.after);
}

outcome make_one(const nft_table&)
{
    return {};
}

outcome make_one(const socket_file&)
{
    return {};
}

outcome make_one(const directory&)
{
    return {};
}

// undo

outcome undo_one(const policy_rule& r)
{
    return remove(r);
}

outcome undo_one(const route& r)
{
    return remove(r);
}

outcome undo_one(const path_endpoint& e)
{
    auto pm = path_manager::open();
    if (!pm)
        return std::unexpected{pm.error().message()};
    const auto failed = pm->remove(to_kernel(e));
    if (failed && failed != std::errc::address_not_available)
        return std::unexpected{explain(*pm, failed)};
    return {};
}

outcome undo_one(const raised_limits& l)
{
    auto pm = path_manager::open();
    if (!pm)
        return std::unexpected{pm.error().message()};
    auto now = pm->limits();
    if (!now)
        return std::unexpected{now.error().message()};
    if (now->subflows == l.after.subflows)
        now->subflows = l.before.subflows;
    if (now->add_addr_accepted == l.after.add_addr_accepted)
        now->add_addr_accepted = l.before.add_addr_accepted;
    if (const auto failed = pm->set(*now))
        return std::unexpected{explain(*pm, failed)};
    return {};
}

outcome undo_one(const sysctl_setting& s)
{
    const auto present = read_sysctl(s.name);
    if (!present || *present != s.after)
        return {};
    return write_sysctl(s.name, s.before);
}

outcome undo_one(const nft_table& t)
{
    return delete_table(t.name);
}

outcome undo_one(const socket_file& s)
{
    struct stat status{};
    if (::lstat(s.path.c_str(), &status) == 0 && !S_ISSOCK(status.st_mode))
        return {};
    return ignore_absence(::unlink(s.path.c_str()));
}

outcome undo_one(const directory& d)
{
    return ignore_absence(::rmdir(d.path.c_str()));
}

} // namespace

std::expected<bool, std::string> prepare(step& s)
{
    return std::visit([](auto& value) { return prepare_one(value); }, s);
}

outcome make(const step& s)
{
    return std::visit([](const auto& value) { return make_one(value); }, s);
}

outcome undo(const step& s)
{
    return std::visit([](const auto& value) { return undo_one(value); }, s);
}

bool compete(const step& a, const step& b)
{
    if (const auto* left = std::get_if<path_endpoint>(&a)) {
        const auto* right = std::get_if<path_endpoint>(&b);
        return right != nullptr && left->address == right->address;
    }
    const auto* left = std::get_if<route>(&a);
    const auto* right = std::get_if<route>(&b);
    return left != nullptr && right != nullptr && left->table == right->table &&
           left->to == right->to && left->metric == right->metric;
}

} // namespace manypath::keeper
