// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/privileges.hpp"

#include "proxy/log/log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <fstream>
#include <grp.h>
#include <memory>
#include <pwd.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <system_error>
#include <unistd.h>

namespace manypath::keeper {

namespace {

using outcome = std::expected<void, std::string>;

constexpr const char* fallback_user = "nobody";
constexpr const char* default_user = "manypath";

struct cap_closer {
    void operator()(void* c) const noexcept { cap_free(c); }
};
using capabilities = std::unique_ptr<std::remove_pointer_t<cap_t>, cap_closer>;

bool has(const capabilities& c, cap_value_t which)
{
    cap_flag_value_t value = CAP_CLEAR;
    return c && cap_get_flag(c.get(), which, CAP_EFFECTIVE, &value) == 0 && value == CAP_SET;
}

std::unexpected<std::string> failed(const std::string& what)
{
    return std::unexpected{what + ": " + std::generic_category().message(errno)};
}

std::uint16_t first_free_port()
{
    std::ifstream in{"/proc/sys/net/ipv4/ip_unprivileged_port_start"};
    unsigned port = 1024;
    in >> port;
    return static_cast<std::uint16_t>(std::min(port, 65535U));
}

/// The set that is to be left: nothing, or CAP_NET_RAW.
capabilities wanted_set(bool keep_raw)
{
    capabilities set{cap_init()};
    const std::array<cap_value_t, 1> raw{CAP_NET_RAW};
    if (keep_raw)
        for (const cap_flag_t flag : {CAP_PERMITTED, CAP_EFFECTIVE})
            cap_set_flag(set.get(), flag, raw.size(), raw.data(), CAP_SET);
    return set;
}

/// The bounding set says what an exec could give back; nothing, not even what is kept.
outcome empty_bounding_set()
{
    for (cap_value_t c = 0; cap_get_bound(c) >= 0; ++c)
        if (cap_get_bound(c) == CAP_SET && cap_drop_bound(c) != 0)
            return failed(fmt::format("cannot drop capability {} from the bounding set", c));
    return {};
}

outcome become(const account& a, bool keep_raw)
{
    if (keep_raw && ::prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
        return failed("PR_SET_KEEPCAPS");
    if (::setgroups(0, nullptr) != 0)
        return failed("cannot leave the supplementary groups");
    if (::setresgid(a.group, a.group, a.group) != 0)
        return failed(fmt::format("cannot become group {}", a.group));
    if (::setresuid(a.user, a.user, a.user) != 0)
        return failed(fmt::format("cannot become user {}", a.user));
    return {};
}

std::unexpected<std::string> still(const std::string& what)
{
    return std::unexpected{"after dropping privileges " + what};
}

outcome prove_user(const drop_options& o)
{
    uid_t real = 0;
    uid_t effective = 0;
    uid_t saved = 0;
    ::getresuid(&real, &effective, &saved);
    if (real != o.to.user || effective != o.to.user || saved != o.to.user)
        return still("the user is not the worker's");
    gid_t real_group = 0;
    gid_t effective_group = 0;
    gid_t saved_group = 0;
    ::getresgid(&real_group, &effective_group, &saved_group);
    if (real_group != o.to.group || effective_group != o.to.group || saved_group != o.to.group)
        return still("the group is not the worker's");
    if (::getgroups(0, nullptr) != 0)
        return still("supplementary groups are left");
    if (::setuid(0) == 0 || ::seteuid(0) == 0)
        return still("the way back to root is open");
    if (::setgid(0) == 0)
        return still("the way back to root's group is open");
    return {};
}

} // namespace

powers present_powers()
{
    const capabilities mine{cap_get_proc()};
    return {.network = has(mine, CAP_NET_ADMIN),
            .low_ports = has(mine, CAP_NET_BIND_SERVICE),
            .become_user = ::geteuid() == 0 && has(mine, CAP_SETUID) && has(mine, CAP_SETGID)};
}

bool needs_network(const config::configuration& c)
{
    return !c.paths.empty() || std::ranges::any_of(c.listeners, [](const config::listen& l) {
        return l.mode == config::listen_mode::transparent;
    });
}

outcome check_powers(const config::configuration& c, const powers& have)
{
    const auto needs_root = [](const std::string& key, const char* capability) {
        return std::unexpected{
            fmt::format("{} needs root (or {}), and this process has it not; start manypathd as "
                        "root or remove the key",
                        key, capability)};
    };
    if (!have.network && !c.paths.empty())
        return needs_root("[[path]]", "CAP_NET_ADMIN");
    const std::uint16_t free_port = first_free_port();
    for (const config::listen& l : c.listeners) {
        if (!have.network && l.mode == config::listen_mode::transparent)
            return needs_root(
                fmt::format("listen.mode = \"transparent\" (listener \"{}\")", l.name),
                "CAP_NET_ADMIN");
        for (const endpoint& e : l.addresses)
            if (!have.low_ports && e.port() < free_port)
                return needs_root(
                    fmt::format("port {} in listen.address (listener \"{}\")", e.port(), l.name),
                    "CAP_NET_BIND_SERVICE");
    }
    return {};
}

std::expected<account, std::string> find_account(const std::string& name)
{
    const passwd* entry = ::getpwnam(name.empty() ? default_user : name.c_str());
    if (entry == nullptr && !name.empty() && name != default_user)
        return std::unexpected{fmt::format("there is no user \"{}\" for the worker", name)};
    const bool own = entry != nullptr;
    if (!own)
        entry = ::getpwnam(fallback_user);
    if (entry == nullptr)
        return std::unexpected{
            fmt::format("there is neither a user \"{}\" nor \"{}\"", default_user, fallback_user)};
    if (entry->pw_uid == 0)
        return std::unexpected{fmt::format("the worker's user \"{}\" is root", entry->pw_name)};
    return account{.user = entry->pw_uid, .group = entry->pw_gid, .own = own};
}

outcome drop_privileges(const drop_options& o)
{
    if (o.change_user) {
        if (auto emptied = empty_bounding_set(); !emptied)
            return emptied;
        if (auto changed = become(o.to, o.keep_raw); !changed)
            return changed;
    }
    (void)cap_reset_ambient(); // refused before Linux 4.3, which has no such set
    const capabilities set = wanted_set(o.keep_raw);
    if (!set || cap_set_proc(set.get()) != 0)
        return failed("cannot set the capabilities");
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return failed("PR_SET_NO_NEW_PRIVS");
    if (::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return failed("PR_SET_DUMPABLE");
    // A change of user clears it, so it comes last; the keeper may have died before.
    if (::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return failed("PR_SET_PDEATHSIG");
    if (::getppid() != o.keeper)
        return std::unexpected{std::string{"the keeper is gone"}};
    return {};
}

outcome prove_dropped(const drop_options& o)
{
    if (o.change_user)
        if (auto proved = prove_user(o); !proved)
            return proved;
    const capabilities now{cap_get_proc()};
    const capabilities set = wanted_set(o.keep_raw);
    if (!now || !set || cap_compare(now.get(), set.get()) != 0)
        return still("capabilities are left");
    for (cap_value_t c = 0; cap_get_bound(c) >= 0; ++c) {
        if (cap_get_ambient(c) == CAP_SET)
            return still("ambient capabilities are left");
        if (o.change_user && cap_get_bound(c) == CAP_SET)
            return still("the bounding set is not empty");
    }
    if (::prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return still("an exec could still gain some");
    if (::chroot("/") == 0)
        return still("chroot() still works");
    return {};
}

} // namespace manypath::keeper
