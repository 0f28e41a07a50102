// launcher_check.cpp: what `manypath check` finds on hosts that the tests make up.
// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/check/judge.hpp"
#include "preload/launcher/check/render.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <cerrno>

namespace {

using namespace manypath::launcher;
using manypath::kernel::mptcp_endpoint;

ip_address v4(const char* text)
{
    in_addr address{};
    REQUIRE(::inet_pton(AF_INET, text, &address) == 1);
    return address;
}

path_facts path(const char* interface, std::uint32_t index, const char* address)
{
    path_facts facts;
    facts.interface = interface;
    facts.index = index;
    facts.address = v4(address);
    facts.up = true;
    facts.by_source = {.interface = index, .gateway = "198.18.0.254"};
    facts.by_source_interface = interface;
    facts.through = facts.by_source;
    facts.known_gateway = "198.18.0.254";
    return facts;
}

mptcp_endpoint endpoint(const char* address)
{
    mptcp_endpoint e;
    e.address = v4(address);
    e.id = 1;
    e.subflow = true;
    return e;
}

/// Two uplinks with endpoints and rules: nothing to complain about.
host_facts sound_host()
{
    host_facts facts;
    facts.release = "6.18";
    facts.sysctls = {{"net.mptcp.enabled", "1"},
                     {"net.mptcp.path_manager", "kernel"},
                     {"net.mptcp.scheduler", "default"},
                     {"net.ipv4.tcp_congestion_control", "cubic"}};
    facts.paths = {path("wan0", 2, "198.18.0.1"), path("wan1", 3, "198.18.1.1")};
    facts.endpoints = {endpoint("198.18.0.1"), endpoint("198.18.1.1")};
    facts.limits = {.subflows = 2, .add_addr_accepted = 2};
    return facts;
}

/// The second path, which is not the one that the default route takes.
path_facts& second(host_facts& facts)
{
    facts.paths[1].by_source.interface = 2;
    facts.paths[1].by_source_interface = "wan0";
    return facts.paths[1];
}

findings judge_all(const host_facts& facts)
{
    findings found = judge_kernel(facts);
    std::ranges::copy(judge_endpoints(facts), std::back_inserter(found));
    std::ranges::copy(judge_paths(facts), std::back_inserter(found));
    return found;
}

findings problems(const findings& found)
{
    findings chosen;
    std::ranges::copy_if(found, std::back_inserter(chosen),
                         [](const finding& f) { return f.severity == level::problem; });
    return chosen;
}

probe_facts connected(std::vector<std::string> subflows, mptcp_counters grown = {})
{
    probe_facts probe;
    probe.host = "server";
    probe.port = "80";
    probe.peer = "198.18.9.9:80";
    probe.speaks_mptcp = true;
    probe.local = "198.18.0.1";
    probe.subflows = std::move(subflows);
    probe.grown = std::move(grown);
    return probe;
}

} // namespace

TEST_CASE("a sound host has no problem and needs no command", "[launcher][check]")
{
    for (const finding& f : judge_all(sound_host())) {
        CAPTURE(f.text);
        CHECK(f.severity == level::ok);
        CHECK(f.fix.empty());
    }
}

TEST_CASE("each refusal of the kernel is told apart, with its command if there is one",
          "[launcher][check]")
{
    const auto refused = [](int error) {
        host_facts facts = sound_host();
        facts.refused_v4 = error;
        facts.refused_v6 = error;
        const auto found = problems(judge_kernel(facts));
        REQUIRE(found.size() == 1);
        CHECK(found.front().id == "kernel.socket");
        return found.front();
    };
    CHECK(refused(ENOPROTOOPT).fix == "sysctl -w net.mptcp.enabled=1");
    CHECK(refused(EINVAL).text.contains("older"));
    CHECK(refused(EPROTONOSUPPORT).text.contains("CONFIG_MPTCP"));
    CHECK(refused(EPERM).text.contains("security policy"));
    CHECK(refused(EMFILE).text.contains("open files"));
}

TEST_CASE("a host without IPv6 has no problem", "[launcher][check]")
{
    host_facts facts = sound_host();
    facts.refused_v6 = EAFNOSUPPORT;
    CHECK(problems(judge_kernel(facts)).empty());
}

TEST_CASE("a kernel that has met a black hole says so", "[launcher][check]")
{
    host_facts facts = sound_host();
    facts.counters = {{"Blackhole", 1}};
    CHECK(std::ranges::count(judge_kernel(facts), "sysctl.blackhole", &finding::id) == 1);
}

TEST_CASE("endpoints are not judged where another program decides over subflows",
          "[launcher][check]")
{
    host_facts facts = sound_host();
    facts.endpoints.clear();
    facts.sysctls["net.mptcp.path_manager"] = "userspace";
    CHECK(judge_endpoints(facts).empty());
    CHECK(std::ranges::count(judge_kernel(facts), level::note, &finding::severity) == 1);
    facts.sysctls.erase("net.mptcp.path_manager");
    facts.sysctls["net.mptcp.pm_type"] = "1"; // Linux before 6.15
    CHECK(judge_endpoints(facts).empty());
}

TEST_CASE("two uplinks without endpoints are a problem with the commands that add them",
          "[launcher][check]")
{
    host_facts facts = sound_host();
    facts.endpoints.clear();
    const auto found = problems(judge_endpoints(facts));
    REQUIRE(found.size() == 1);
    CHECK(found.front().fix == "ip mptcp endpoint add 198.18.0.1 dev wan0 subflow && "
                               "ip mptcp endpoint add 198.18.1.1 dev wan1 subflow");
}

TEST_CASE("an interface that leads nowhere asks for no endpoint", "[launcher][check]")
{
    host_facts facts = sound_host();
    facts.endpoints.clear();
    facts.paths[1].through = {};
    CHECK(problems(judge_endpoints(facts)).empty());
}

TEST_CASE("only the path on which connections begin may lack an endpoint", "[launcher][check]")
{
    host_facts facts = sound_host();
    facts.endpoints.erase(facts.endpoints.begin());
    const auto notes = [&] {
        return std::ranges::count(judge_endpoints(facts), "endpoint.missing", &finding::id);
    };
    CHECK(notes() == 1);
    facts.paths[0].first = true;
    CHECK(notes() == 0);
}

TEST_CASE("limits below the number of endpoints are a problem", "[launcher][check]")
{
    host_facts facts = sound_host();
    facts.limits = {.subflows = 0, .add_addr_accepted = 0};
    const auto found = problems(judge_endpoints(facts));
    REQUIRE(found.size() == 1);
    CHECK(found.front().fix == "ip mptcp limits set subflows 1");
}

TEST_CASE("an endpoint that is no address of the host is a problem", "[launcher][check]")
{
    host_facts facts = sound_host();
    facts.endpoints.push_back(endpoint("198.18.7.7"));
    facts.endpoints.back().id = 9;
    const auto found = problems(judge_endpoints(facts));
    REQUIRE_FALSE(found.empty());
    CHECK(found.front().fix == "ip mptcp endpoint delete id 9");
}

TEST_CASE("who may not see the endpoints is told, and not judged", "[launcher][check]")
{
    host_facts facts = sound_host();
    facts.endpoints.clear();
    facts.endpoints_error = EPERM;
    const auto found = judge_endpoints(facts);
    REQUIRE(found.size() == 1);
    CHECK(found.front().severity == level::note);
}

TEST_CASE("an endpoint whose packets leave elsewhere needs a rule", "[launcher][check]")
{
    host_facts facts = sound_host();
    (void)second(facts);
    const auto found = problems(judge_paths(facts));
    REQUIRE(found.size() == 1);
    CHECK(found.front().id == "path.rule");
    CHECK(found.front().fix == "ip rule add from 198.18.1.1 table 103 && "
                               "ip route add default via 198.18.0.254 dev wan1 table 103");
}

TEST_CASE("strict rp_filter is a problem only where the way back is another", "[launcher][check]")
{
    host_facts facts = sound_host();
    for (path_facts& each : facts.paths)
        each.rp_filter = 1;
    CHECK(problems(judge_paths(facts)).empty());
    (void)second(facts);
    facts.endpoints[1].interface = 3; // bound, so that packets leave through it all the same
    const auto found = problems(judge_paths(facts));
    REQUIRE(found.size() == 1);
    CHECK(found.front().id == "path.rp_filter");
    CHECK(found.front().fix == "sysctl -w net.ipv4.conf.wan1.rp_filter=2");
    facts.paths[1].rp_filter = 2;
    CHECK(problems(judge_paths(facts)).empty());
}

TEST_CASE("an interface that is down is a problem if it is an endpoint", "[launcher][check]")
{
    host_facts facts = sound_host();
    facts.paths[1].up = false;
    const auto found = problems(judge_paths(facts));
    REQUIRE(found.size() == 1);
    CHECK(found.front().fix == "ip link set wan1 up");
    facts.endpoints.pop_back();
    CHECK(problems(judge_paths(facts)).empty());
}

TEST_CASE("two subflows towards the target are in order", "[launcher][check]")
{
    CHECK(problems(judge_probe(connected({"a", "b"}), sound_host())).empty());
}

TEST_CASE("a single subflow is explained by the counters", "[launcher][check]")
{
    const auto explained = [](mptcp_counters grown) {
        const auto found = problems(judge_probe(connected({"a"}, std::move(grown)), sound_host()));
        REQUIRE(found.size() == 1);
        CHECK(found.front().id == "target.one_path");
        return found.front().text;
    };
    CHECK(explained({}).contains("C flag"));
    CHECK(explained({{"MPJoinSynTxConnectErr", 1}}).contains("no route"));
    CHECK(explained({{"MPJoinSynTx", 1}}).contains("no answer"));
    CHECK(explained({{"MPJoinSynTx", 1}}).contains("MPJoinSynTx +1"));
    CHECK(explained({{"MPJoinSynTx", 1}, {"MPRstRx", 1}}).contains("refused"));
}

TEST_CASE("a host with one path is not blamed for one subflow", "[launcher][check]")
{
    host_facts facts = sound_host();
    facts.paths.pop_back();
    facts.endpoints.clear();
    CHECK(problems(judge_probe(connected({"a"}), facts)).empty());
}

TEST_CASE("a connection that is TCP after all is a problem with its reason", "[launcher][check]")
{
    probe_facts probe = connected({}, {{"MPCapableFallbackSYNACK", 1}});
    probe.speaks_mptcp = false;
    const auto found = problems(judge_probe(probe, sound_host()));
    REQUIRE(found.size() == 1);
    CHECK(found.front().text.contains("answered without MPTCP"));
    probe.refused = ENOPROTOOPT;
    CHECK(problems(judge_probe(probe, sound_host())).front().fix ==
          "sysctl -w net.mptcp.enabled=1");
    probe.failure = "Connection refused";
    CHECK(problems(judge_probe(probe, sound_host())).front().id == "target.connect");
}

TEST_CASE("findings become lines with their commands and a verdict", "[launcher][check]")
{
    const check_result result{{{level::problem, "a.b", "it is broken", "mend it"}}, {}};
    CHECK(render_text(result) == "problem  it is broken\n"
                                 "         -> mend it\n"
                                 "1 problem found\n");
    CHECK(render_text({}) == "no problem found\n");
}

TEST_CASE("findings become the documented JSON", "[launcher][check]")
{
    check_result result{{{level::note, "a.b", "say \"x\"\n", ""}}, {}};
    CHECK(render_json(result) ==
          "{\n  \"version\": 1,\n  \"result\": \"ok\",\n  \"findings\": [\n"
          "    {\"id\": \"a.b\", \"level\": \"note\", \"text\": \"say \\\"x\\\"\\u000a\", "
          "\"fix\": \"\"}\n  ]\n}\n");
    result.target = target_result{"h", "1", "h:1", true, {"a -> b"}};
    CHECK(render_json(result).contains(
        "\"target\": {\"host\": \"h\", \"port\": \"1\", \"peer\": \"h:1\", \"mptcp\": true, "
        "\"subflows\": [\"a -> b\"]}"));
}
