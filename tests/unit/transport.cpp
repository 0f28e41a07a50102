// SPDX-License-Identifier: Apache-2.0
#include "proxy/async/task_group.hpp"
#include "proxy/transport/attempt_plan.hpp"
#include "proxy/transport/destination.hpp"
#include "proxy/transport/fallback_memory.hpp"
#include "proxy/transport/stream_io.hpp"
#include "proxy/transport/system_resolver.hpp"
#include "tests/support/scripted_stream.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/system/errc.hpp>
#include <catch2/catch.hpp>
#include <future>

using namespace manypath;
using namespace std::chrono_literals;

namespace {

using time_point = attempt_plan::time_point;
const error_code refused = asio::error::connection_refused;
const error_code no_mptcp =
    boost::system::errc::make_error_code(boost::system::errc::protocol_not_supported);

asio::ip::address address(const char* text)
{
    return asio::ip::make_address(text);
}

endpoint at(const char* text, std::uint16_t port = 80)
{
    return {address(text), port};
}

/// Two addresses over MPTCP with the default timing.
attempt_plan two_over_mptcp()
{
    return attempt_plan{{{at("2001:db8::1"), protocol::mptcp}, {at("198.18.2.2"), protocol::mptcp}},
                        dial_timing{}};
}

} // namespace

TEST_CASE("destinations print as people write them", "[transport]")
{
    CHECK(to_string(at("198.18.0.1")) == "198.18.0.1:80");
    CHECK(to_string(at("2001:db8::1")) == "[2001:db8::1]:80");
    CHECK(to_string(at("::ffff:198.18.0.1")) == "198.18.0.1:80");
    CHECK(to_string(destination{host_port{"name", 8080}}) == "name:8080");
}

TEST_CASE("a destination is an address, a name, or impossible", "[transport]")
{
    CHECK(make_destination("198.18.0.1", 80) == destination{at("198.18.0.1")});
    CHECK(make_destination("::ffff:198.18.0.1", 80) == destination{at("198.18.0.1")});
    CHECK(make_destination("name", 80) == destination{host_port{"name", 80}});
    CHECK_FALSE(make_destination("name", 0));
    CHECK_FALSE(make_destination("", 80));
    CHECK_FALSE(make_destination(std::string_view{"a\0b", 3}, 80));
    CHECK_FALSE(make_destination("two words", 80));
    CHECK_FALSE(make_destination(std::string(254, 'a'), 80));
}

TEST_CASE("address families alternate, beginning with the preferred one", "[transport][dial]")
{
    const auto v6a = address("2001:db8::1");
    const auto v6b = address("2001:db8::2");
    const auto v6c = address("2001:db8::3");
    const auto v4 = address("198.18.0.1");
    CHECK(interleave_families({v6a, v6b, v6c, v4}) == std::vector{v6a, v4, v6b, v6c});
    CHECK(interleave_families({v4, v6a, v6b}) == std::vector{v4, v6a, v6b});
    CHECK(interleave_families({}).empty());
}

TEST_CASE("the next address is tried after 250 ms, or at once after a failure", "[transport][dial]")
{
    attempt_plan plan{{{at("2001:db8::1"), protocol::tcp},
                       {at("198.18.2.2"), protocol::tcp},
                       {at("198.18.2.3"), protocol::tcp}},
                      dial_timing{}};
    const time_point start{};
    const auto first = plan.next(start);
    REQUIRE(first);
    CHECK(first->what.to == at("2001:db8::1"));
    CHECK_FALSE(plan.next(start + 249ms));
    CHECK(plan.due() == start + 250ms);
    const auto second = plan.next(start + 250ms);
    REQUIRE(second);
    CHECK(second->what.to == at("198.18.2.2"));
    plan.on_failure(first->number, refused);
    CHECK_FALSE(plan.next(start + 260ms)); // the second still runs
    plan.on_failure(second->number, refused);
    const auto third = plan.next(start + 261ms);
    REQUIRE(third);
    CHECK_FALSE(plan.exhausted());
    plan.on_failure(third->number, asio::error::host_unreachable);
    CHECK(plan.exhausted());
    CHECK(plan.error() == asio::error::host_unreachable);
    CHECK_FALSE(plan.due());
}

TEST_CASE("TCP is tried beside MPTCP that stays unanswered", "[transport][dial]")
{
    attempt_plan plan{{{at("198.18.2.2"), protocol::mptcp}}, dial_timing{}};
    const time_point start{};
    const auto mptcp = plan.next(start);
    REQUIRE(mptcp);
    CHECK(mptcp->what.speak == protocol::mptcp);
    CHECK(plan.due() == start + 1300ms);
    CHECK_FALSE(plan.next(start + 1299ms));
    const auto tcp = plan.next(start + 1300ms);
    REQUIRE(tcp);
    CHECK(tcp->what == candidate{at("198.18.2.2"), protocol::tcp});
    CHECK(plan.mptcp_failed_beside(tcp->number));
    CHECK_FALSE(plan.mptcp_failed_beside(mptcp->number));
    CHECK_FALSE(plan.next(start + 10s));
    plan.on_failure(mptcp->number, asio::error::timed_out);
    CHECK_FALSE(plan.next(start + 11s)); // not a second time
    plan.on_failure(tcp->number, asio::error::timed_out);
    CHECK(plan.exhausted());
}

TEST_CASE("TCP follows at once where MPTCP is reset", "[transport][dial]")
{
    attempt_plan plan{{{at("198.18.2.2"), protocol::mptcp}}, dial_timing{}};
    const auto mptcp = plan.next({});
    plan.on_failure(mptcp->number, refused);
    CHECK_FALSE(plan.exhausted());
    const auto tcp = plan.next({});
    REQUIRE(tcp);
    CHECK(tcp->what.speak == protocol::tcp);
    CHECK(plan.mptcp_failed_beside(tcp->number));
}

TEST_CASE("an unreachable network is no reason to try TCP", "[transport][dial]")
{
    attempt_plan plan{{{at("198.18.2.2"), protocol::mptcp}}, dial_timing{}};
    const auto mptcp = plan.next({});
    plan.on_failure(mptcp->number, asio::error::network_unreachable);
    CHECK(plan.exhausted());
    CHECK_FALSE(plan.next({}));
}

TEST_CASE("a host without MPTCP dials TCP everywhere and blames no destination",
          "[transport][dial]")
{
    auto plan = two_over_mptcp();
    const auto mptcp = plan.next({});
    plan.on_failure(mptcp->number, no_mptcp);
    const auto tcp = plan.next({});
    REQUIRE(tcp);
    CHECK(tcp->what == candidate{at("2001:db8::1"), protocol::tcp});
    CHECK_FALSE(plan.mptcp_failed_beside(tcp->number));
    const auto other = plan.next(time_point{} + 250ms);
    REQUIRE(other);
    CHECK(other->what == candidate{at("198.18.2.2"), protocol::tcp});
    CHECK_FALSE(plan.mptcp_failed_beside(other->number));
}

TEST_CASE("a destination stays on TCP longer each time it proves right", "[transport][memory]")
{
    fallback_memory memory;
    const auto to = at("198.18.2.2");
    time_point now{};
    CHECK_FALSE(memory.prefers_tcp(to, now));
    memory.remember(to, fallback_reason::unanswered, now);
    CHECK(memory.prefers_tcp(to, now + 10min - 1s));
    CHECK_FALSE(memory.prefers_tcp(at("198.18.2.2", 443), now));
    CHECK_FALSE(memory.prefers_tcp(to, now + 10min));
    now += 10min;
    memory.remember(to, fallback_reason::unanswered, now);
    memory.remember(to, fallback_reason::unanswered, now + 1s); // the same event
    CHECK(memory.prefers_tcp(to, now + 20min - 1s));
    CHECK_FALSE(memory.prefers_tcp(to, now + 20min));
    for (int times = 0; times < 40; ++times) {
        now += 24h;
        memory.remember(to, fallback_reason::unanswered, now);
    }
    CHECK(memory.prefers_tcp(to, now + 24h - 1s));
    CHECK_FALSE(memory.prefers_tcp(to, now + 24h));
}

TEST_CASE("a server without MPTCP is asked again sooner than a broken way", "[transport][memory]")
{
    fallback_memory memory;
    const auto to = at("198.18.2.2");
    memory.remember(to, fallback_reason::fell_back, {});
    CHECK(memory.prefers_tcp(to, time_point{} + 59s));
    CHECK_FALSE(memory.prefers_tcp(to, time_point{} + 60s));
}

TEST_CASE("MPTCP that works again ends the back-off", "[transport][memory]")
{
    fallback_memory memory;
    const auto to = at("198.18.2.2");
    memory.remember(to, fallback_reason::unanswered, {});
    memory.remember(to, fallback_reason::unanswered, time_point{} + 1h);
    memory.forget(to);
    CHECK_FALSE(memory.prefers_tcp(to, time_point{} + 1h));
    memory.remember(to, fallback_reason::unanswered, time_point{} + 2h);
    CHECK_FALSE(memory.prefers_tcp(to, time_point{} + 2h + 10min));
}

TEST_CASE("the fallback memory is bounded and drops what was not used longest",
          "[transport][memory]")
{
    fallback_memory memory{2};
    const time_point now{};
    memory.remember(at("198.18.2.1"), fallback_reason::unanswered, now);
    memory.remember(at("198.18.2.2"), fallback_reason::unanswered, now);
    CHECK(memory.prefers_tcp(at("198.18.2.1"), now));
    memory.remember(at("198.18.2.3"), fallback_reason::unanswered, now);
    CHECK(memory.size(now) == 2);
    CHECK(memory.prefers_tcp(at("198.18.2.1"), now));
    CHECK_FALSE(memory.prefers_tcp(at("198.18.2.2"), now));
    CHECK(memory.prefers_tcp(at("198.18.2.3"), now));
    CHECK(memory.size(now + 1h) == 0);
}

namespace {

struct answer {
    bool ended = false;
    error_code ec;
    resolver::addresses found;
};

asio::awaitable<void> look_up(resolver& names, std::string name, answer& result)
{
    co_await asio::this_coro::throw_if_cancelled(false);
    result.found = co_await names.resolve(std::move(name), result.ec);
    result.ended = true;
}

} // namespace

TEST_CASE("the system's resolver knows this host", "[transport][resolver]")
{
    asio::io_context context{1};
    system_resolver names;
    task_group tasks{context};
    answer local;
    tasks.spawn("look up", look_up(names, "localhost", local));
    context.run();
    CHECK_FALSE(local.ec);
    REQUIRE_FALSE(local.found.empty());
    CHECK(local.found.front().is_loopback());
}

// Goal: one slow name holds up neither others nor those who give up on it.
// Method: two threads; every question for "slow" together may occupy only one of them.
TEST_CASE("a slow name holds up nobody but those who ask for it", "[transport][resolver]")
{
    std::promise<void> release;
    const auto released = release.get_future().share();
    const auto how = [released](const std::string& name, error_code&) {
        if (name == "slow")
            released.wait();
        return resolver::addresses{address(name == "slow" ? "198.18.0.1" : "198.18.0.2")};
    };
    system_resolver names{{.threads = 2, .names = 3}, how};
    asio::io_context context{1};
    task_group patient{context};
    task_group hasty{context};
    std::array<answer, 3> slow;
    answer given_up;
    answer quick;
    for (auto& a : slow)
        patient.spawn("slow", look_up(names, "slow", a));
    hasty.spawn("slow", look_up(names, "slow", given_up));
    patient.spawn("quick", look_up(names, "quick", quick));
    while (!quick.ended)
        context.run_one();
    CHECK(quick.found == resolver::addresses{address("198.18.0.2")});
    hasty.cancel();
    while (!given_up.ended)
        context.run_one();
    CHECK(given_up.ec == asio::error::operation_aborted);
    CHECK_FALSE(slow.front().ended);
    release.set_value();
    context.run();
    for (const auto& a : slow)
        CHECK(a.found == resolver::addresses{address("198.18.0.1")});
}

TEST_CASE("too many names at once are refused, not queued without end", "[transport][resolver]")
{
    std::promise<void> release;
    const auto released = release.get_future().share();
    const auto how = [released](const std::string&, error_code&) {
        released.wait();
        return resolver::addresses{address("198.18.0.1")};
    };
    system_resolver names{{.threads = 1, .names = 2}, how};
    asio::io_context context{1};
    task_group tasks{context};
    std::array<answer, 3> answers;
    tasks.spawn("first", look_up(names, "first", answers[0]));
    tasks.spawn("second", look_up(names, "second", answers[1]));
    tasks.spawn("third", look_up(names, "third", answers[2]));
    while (!answers[2].ended)
        context.run_one();
    CHECK(answers[2].ec == asio::error::host_not_found_try_again);
    release.set_value();
    context.run();
    CHECK_FALSE(answers[0].ec);
    CHECK_FALSE(answers[1].ec);
}

namespace {

asio::awaitable<void> write_text(stream& to, std::string text, error_code& ec)
{
    co_await write_all(to, std::as_bytes(std::span{text}), ec);
}

asio::awaitable<void> read_once(stream& from, error_code& ec)
{
    co_await asio::this_coro::throw_if_cancelled(false);
    std::array<std::byte, 16> buffer;
    co_await read_some(from, buffer, ec);
}

} // namespace

TEST_CASE("write_all writes everything in whatever portions the stream takes", "[transport][io]")
{
    asio::io_context context{1};
    auto peer = std::make_shared<test::scripted_peer>();
    peer->room = 3;
    test::scripted_stream to{context, peer};
    task_group tasks{context};
    error_code ec;
    tasks.spawn("write", write_text(to, "hello, world", ec));
    context.run();
    CHECK_FALSE(ec);
    CHECK(peer->received == "hello, world");
}

TEST_CASE("cancelling a coroutine that waits for a stream aborts the stream", "[transport][io]")
{
    asio::io_context context{1};
    auto peer = std::make_shared<test::scripted_peer>();
    test::scripted_stream from{context, peer};
    task_group tasks{context};
    error_code ec;
    tasks.spawn("read", read_once(from, ec));
    context.poll();
    REQUIRE(tasks.size() == 1);
    tasks.cancel();
    context.restart();
    context.run();
    CHECK(peer->aborted);
    CHECK(ec == asio::error::operation_aborted);
    CHECK(tasks.size() == 0);
}

TEST_CASE("a goodbye ends sending and waits for the peer's end", "[transport][io]")
{
    asio::io_context context{1};
    auto peer = std::make_shared<test::scripted_peer>();
    peer->to_come = test::in_chunks(std::string(5000, 'x'), 1000);
    peer->end = asio::error::eof;
    test::scripted_stream to{context, peer};
    task_group tasks{context};
    tasks.spawn("goodbye", say_goodbye(to, 1 << 20));
    context.run();
    CHECK(peer->send_ended);
    CHECK(peer->to_come.empty());
    CHECK(peer->closed);
    CHECK_FALSE(peer->aborted);
}
