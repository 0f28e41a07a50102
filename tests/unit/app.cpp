// SPDX-License-Identifier: Apache-2.0
#include "proxy/app/accept_budget.hpp"
#include "proxy/app/connection_log.hpp"
#include "proxy/app/handshake_watch.hpp"
#include "proxy/app/path_states.hpp"
#include "proxy/app/service.hpp"
#include "tests/support/scripted_stream.hpp"

#include <boost/asio/ip/address.hpp>
#include <catch2/catch.hpp>

using namespace manypath;
using namespace std::chrono_literals;

namespace {

using time_point = accept_budget::clock::time_point;

endpoint at(const char* text, std::uint16_t port)
{
    return {asio::ip::make_address(text), port};
}

config::configuration with_listeners(std::initializer_list<const char*> names)
{
    config::configuration made;
    for (const char* name : names)
        made.listeners.emplace_back().name = name;
    return made;
}

} // namespace

TEST_CASE("the descriptor limit carries 8,000 connections at 20,000", "[app]")
{
    static_assert(connections_carried_by(20'000) == 8'000);
    static_assert(connections_carried_by(1'024) == 410);
    CHECK(connections_carried_by(0) == 0);
}

TEST_CASE("accepting stops at the maximum and resumes a little below it", "[app]")
{
    accept_budget budget{64};
    const time_point now{};
    for (int i = 0; i < 64; ++i) {
        REQUIRE(budget.may_accept(now));
        budget.take();
    }
    CHECK_FALSE(budget.may_accept(now));
    CHECK_FALSE(budget.accepting());
    budget.give_back();
    CHECK_FALSE(budget.may_accept(now + 1h)); // 63 are too many still
    budget.give_back();
    CHECK(budget.may_accept(now));
    CHECK(budget.accepting());
}

TEST_CASE("a budget of one connection is served again and again", "[app]")
{
    accept_budget budget{1};
    for (int i = 0; i < 3; ++i) {
        REQUIRE(budget.may_accept({}));
        budget.take();
        REQUIRE_FALSE(budget.may_accept({}));
        budget.give_back();
    }
}

TEST_CASE("accepting is tried again a second after descriptors ran out", "[app]")
{
    accept_budget budget{64};
    const time_point now{};
    budget.ran_out(now);
    CHECK_FALSE(budget.accepting());
    CHECK_FALSE(budget.may_accept(now + 999ms));
    CHECK(budget.may_accept(now + 1s));
    budget.ran_out(now + 1s);
    CHECK_FALSE(budget.may_accept(now + 1999ms));
    CHECK(budget.may_accept(now + 2s));
    budget.take();
    CHECK(budget.accepting());
    CHECK(budget.may_accept(now + 2s));
}

TEST_CASE("counters outlive a reload, by the listener's name", "[app]")
{
    const auto before = make_services(with_listeners({"a", "b"}), {}, true);
    accept_budget budget{8};
    const connection_share running{budget, before.at(1)};
    const auto after = make_services(with_listeners({"b", "c"}), before, true);
    CHECK(after.at(0)->counters == before.at(1)->counters);
    CHECK(after.at(0)->counters->active == 1);
    CHECK(after.at(1)->counters->accepted == 0);
}

TEST_CASE("where the host refuses MPTCP every listener dials TCP", "[app]")
{
    const auto wanted = with_listeners({"a"});
    REQUIRE(wanted.listeners.front().dial == protocol::mptcp);
    CHECK(make_services(wanted, {}, true).front()->listener.dial == protocol::mptcp);
    CHECK(make_services(wanted, {}, false).front()->listener.dial == protocol::tcp);
}

TEST_CASE("a connection's share comes back exactly once", "[app]")
{
    const auto services = make_services(with_listeners({"a"}), {}, true);
    accept_budget budget{8};
    {
        connection_share first{budget, services.front()};
        const connection_share moved{std::move(first)};
        CHECK(budget.in_use() == 1);
    }
    CHECK(budget.in_use() == 0);
    CHECK(services.front()->counters->active == 0);
    CHECK(services.front()->counters->accepted == 1);
}

TEST_CASE("a handshake that takes too long is aborted, one that ended is not", "[app]")
{
    asio::io_context context{1};
    auto slow = std::make_shared<test::scripted_peer>();
    auto quick = std::make_shared<test::scripted_peer>();
    test::scripted_stream first{context, slow};
    test::scripted_stream second{context, quick};
    handshake_watch watch;
    const time_point now{};
    const auto limit = watch.watch(first, now + 10s);
    {
        const auto short_limit = watch.watch(second, now + 1s);
    }
    watch.check(now + 10s - 1ms);
    CHECK_FALSE(slow->aborted);
    watch.check(now + 10s);
    CHECK(slow->aborted);
    CHECK_FALSE(quick->aborted);
}

TEST_CASE("the log line of a connection says what happened on both sides", "[app]")
{
    const auto services = make_services(with_listeners({"lan"}), {}, true);
    accept_budget budget{8};
    const time_point now{};
    const connection about{connection_share{budget, services.front()}, at("198.18.0.2", 4711),
                           host_port{"server.test", 80}, at("198.18.2.2", 80), now};
    relay_report report;
    report.bytes_to_server = 120;
    report.bytes_to_client = 5000;
    report.server.asked = protocol::mptcp;
    report.server.negotiated = protocol::mptcp;
    report.server.subflows = {{at("198.18.1.1", 4000), at("198.18.2.2", 80), 120, 3000, 20ms},
                              {at("198.18.3.1", 4001), at("198.18.2.2", 80), 0, 2000, 30ms}};
    CHECK(end_line(about, report, now + 1250ms) ==
          "connection listener=lan client=198.18.0.2:4711 to=server.test:80 "
          "server=198.18.2.2:80 client_protocol=tcp server_protocol=mptcp to_server=120 "
          "to_client=5000 seconds=1.250 end=finished "
          "server_subflows=[198.18.1.1:4000>198.18.2.2:80 sent 120 received 3000, "
          "198.18.3.1:4001>198.18.2.2:80 sent 0 received 2000]");
}

TEST_CASE("the log line tells a fallback from TCP and names the error of a reset", "[app]")
{
    const auto services = make_services(with_listeners({"lan"}), {}, true);
    accept_budget budget{8};
    const connection about{connection_share{budget, services.front()}, at("2001:db8::2", 4711),
                           at("198.18.2.2", 80), at("198.18.2.2", 80), time_point{}};
    relay_report report;
    report.end = relay_end::reset_by_server;
    report.error = asio::error::connection_reset;
    report.server.asked = protocol::mptcp;
    CHECK(end_line(about, report, time_point{}) ==
          "connection listener=lan client=[2001:db8::2]:4711 to=198.18.2.2:80 "
          "client_protocol=tcp server_protocol=fallback to_server=0 to_client=0 seconds=0.000 "
          "end=reset-by-server error=\"Connection reset by peer\"");
}

TEST_CASE("a path counts the subflows that leave from its addresses", "[app]")
{
    config::path loopback;
    loopback.name = "loop";
    loopback.interface = "lo";
    loopback.addresses = {asio::ip::make_address("127.0.0.1")};
    config::path missing;
    missing.name = "fibre";
    missing.interface = "no-such-if0";
    control::connection_state connection;
    connection.server_side.subflows = {{at("127.0.0.1", 4000), at("127.0.0.1", 80), 10, 200, 1ms},
                                       {at("198.18.1.1", 4001), at("127.0.0.1", 80), 1, 2, 1ms}};
    const auto states = path_states({loopback, missing}, {connection, connection});
    REQUIRE(states.size() == 2);
    CHECK(states[0].up);
    CHECK(states[0].subflows == 2);
    CHECK(states[0].sent_bytes == 20);
    CHECK(states[0].received_bytes == 400);
    CHECK_FALSE(states[1].up);
    CHECK(states[1].subflows == 0);
}
