// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/check/check.hpp"

#include "preload/launcher/check/judge.hpp"
#include "preload/launcher/check/probe.hpp"
#include "preload/launcher/check/render.hpp"
#include "preload/launcher/say.hpp"

#include <algorithm>
#include <cstring>

namespace manypath::launcher {

namespace {

ip_address address_of(const socket_address& from)
{
    if (from.family() == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &from.storage, sizeof v6);
        return v6.sin6_addr;
    }
    sockaddr_in v4{};
    std::memcpy(&v4, &from.storage, sizeof v4);
    return v4.sin_addr;
}

void append(findings& to, findings more)
{
    std::ranges::move(more, std::back_inserter(to));
}

void judge_host(const host_facts& facts, findings& to)
{
    append(to, judge_kernel(facts));
    append(to, judge_endpoints(facts));
    append(to, judge_paths(facts));
}

check_result check_host()
{
    check_result result;
    judge_host(collect_host_facts({}), result.found);
    return result;
}

check_result check_target(const dial_target& target)
{
    check_result result;
    target_result& summary = result.target.emplace();
    summary.host = target.host;
    summary.port = target.port;
    const auto addresses = resolve(target);
    // The routes of the paths are judged towards the first address, which is tried first.
    const auto destination =
        addresses ? std::optional{address_of(addresses->front())} : std::nullopt;
    const host_facts facts = collect_host_facts(destination);
    judge_host(facts, result.found);
    probe_facts seen;
    seen.host = target.host;
    seen.port = target.port;
    if (addresses)
        seen = probe(target, *addresses, std::max<std::size_t>(2, usable_interfaces(facts)));
    else
        seen.failure = addresses.error();
    append(result.found, judge_probe(seen, facts));
    summary.peer = seen.peer;
    summary.mptcp = seen.speaks_mptcp;
    summary.subflows = seen.subflows;
    return result;
}

} // namespace

int check(const check_options& options)
{
    const check_result result = options.target ? check_target(*options.target) : check_host();
    const bool written = print_text(options.json ? render_json(result) : render_text(result));
    return has_problem(result) || !written ? 1 : 0;
}

} // namespace manypath::launcher
