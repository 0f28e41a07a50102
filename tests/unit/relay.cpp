// SPDX-License-Identifier: Apache-2.0
//
// The relay's life without sockets: every end it can have, at every operation that can fail.
#include "proxy/relay/relay.hpp"
#include "tests/support/fake_stream.hpp"

#include <catch2/catch.hpp>

using namespace manypath;
using namespace std::chrono_literals;
using test::countdown;
using test::fake_state;
using test::fake_stream;

namespace {

struct fixture {
    void start(relay_limits limits = {}, std::vector<std::byte> early = {})
    {
        subject =
            relay::create(std::make_unique<fake_stream>(context, client, count),
                          std::make_unique<fake_stream>(context, server, count), limits, pipes);
        subject->start(std::move(early), [this](const relay_report& r) {
            ++reports;
            report = r;
        });
    }
    void run_until_idle()
    {
        context.restart();
        context.poll();
    }

    asio::io_context context{1};
    pipe_pool pipes;
    countdown count;
    fake_state client{.offers_bytes = 3'000, .takes_bytes = 700};
    fake_state server{.offers_bytes = 5'000, .takes_bytes = 900};
    std::shared_ptr<relay> subject;
    int reports = 0;
    relay_report report;
};

relay::clock::time_point start_of_test()
{
    return relay::clock::now();
}

} // namespace

TEST_CASE("a relay delivers all bytes both ways and closes in the ordinary way", "[relay]")
{
    fixture f;
    f.start();
    f.run_until_idle();
    REQUIRE(f.reports == 1);
    CHECK(f.report.end == relay_end::finished);
    CHECK(f.report.bytes_to_server == 3'000);
    CHECK(f.report.bytes_to_client == 5'000);
    CHECK(f.server.written_bytes == 3'000);
    CHECK(f.client.written_bytes == 5'000);
    for (const auto* side : {&f.client, &f.server}) {
        CHECK(side->closed);
        CHECK_FALSE(side->aborted);
    }
}

// Goal: no failure is lost, reported twice or blamed on the wrong side.
// Method: the n-th of all operations fails, for every n until none is left to fail.
TEST_CASE("whichever operation fails, the other side is reset and the report comes once", "[relay]")
{
    int failing = 0;
    for (bool finished = false; !finished; ++failing) {
        CAPTURE(failing);
        fixture f;
        f.count.operations_left = failing;
        f.start();
        f.run_until_idle();
        REQUIRE(f.reports == 1);
        finished = f.report.end == relay_end::finished;
        if (finished) {
            CHECK_FALSE(f.client.failed);
            CHECK_FALSE(f.server.failed);
        } else {
            CHECK(f.client.failed != f.server.failed);
            CHECK(f.report.end ==
                  (f.client.failed ? relay_end::reset_by_client : relay_end::reset_by_server));
            CHECK(f.report.error == asio::error::connection_reset);
            CHECK(f.client.aborted);
            CHECK(f.server.aborted);
        }
        f.subject.reset();
    }
    CHECK(failing > 20);
}

// Goal: bytes that came before a reset still arrive. Method: the server dies when it is written
// to; what it had sent is still to be read.
TEST_CASE("what a dead side sent before is delivered", "[relay]")
{
    fixture f;
    f.count.operations_left = 1; // 0: the read from the client; 1: the write to the server
    f.start();
    f.run_until_idle();
    REQUIRE(f.server.failed);
    CHECK(f.report.end == relay_end::reset_by_server);
    CHECK(f.client.written_bytes == 5'000);
    CHECK(f.client.aborted);
    CHECK_FALSE(f.client.end_sent);
}

TEST_CASE("a relay holds no more than its buffer while the sink blocks", "[relay]")
{
    fixture f;
    f.client = {.offers_bytes = 100'000'000};
    f.server = {.never_ends = true, .never_takes = true};
    f.start();
    f.run_until_idle();
    CHECK(f.client.read_bytes > 0);
    CHECK(f.client.read_bytes <= pipe_pool::scratch_bytes);
    f.subject->abort();
    f.run_until_idle();
    CHECK(f.reports == 1);
}

TEST_CASE("early bytes come before those that are read, and are counted", "[relay]")
{
    fixture f;
    f.start({}, std::vector<std::byte>(2'000)); // more than the server takes at once
    CHECK(f.server.written_bytes > 0);
    CHECK(f.client.read_bytes == 0);
    f.run_until_idle();
    REQUIRE(f.reports == 1);
    CHECK(f.report.bytes_to_server == 5'000);
}

// Goal: one busy connection leaves the thread's other work its turn.
TEST_CASE("a source that never runs dry gives way after a bounded turn", "[relay]")
{
    fixture f;
    f.client = {.offers_bytes = 1'000'000'000};
    f.server = {.takes_bytes = 1'000'000, .never_ends = true};
    f.start();
    CHECK(f.client.read_bytes > 0);
    CHECK(f.client.read_bytes < 4'000'000);
    f.subject->abort();
    f.run_until_idle();
}

TEST_CASE("an abort resets both sides and reports from the event loop", "[relay]")
{
    fixture f;
    f.client = {.never_ends = true};
    f.server = {.never_ends = true};
    f.start();
    f.run_until_idle();
    f.subject->abort();
    CHECK(f.reports == 0);
    CHECK(f.client.aborted);
    CHECK(f.server.aborted);
    f.subject->abort();
    f.run_until_idle();
    REQUIRE(f.reports == 1);
    CHECK(f.report.end == relay_end::aborted);
}

TEST_CASE("a relay that nobody holds lives until it has ended", "[relay]")
{
    fixture f;
    f.client = {.never_ends = true};
    f.server = {.never_ends = true};
    f.start();
    const std::weak_ptr<relay> watched = f.subject;
    f.subject.reset();
    f.run_until_idle();
    REQUIRE_FALSE(watched.expired());
    watched.lock()->abort();
    f.run_until_idle();
    CHECK(f.reports == 1);
    CHECK(watched.expired());
}

TEST_CASE("silence for the idle limit resets both sides, activity puts it off", "[relay]")
{
    fixture f;
    f.client = {.offers_bytes = 10, .takes_bytes = 100, .never_ends = true};
    f.server = {.takes_bytes = 100, .never_ends = true};
    f.start({.idle = 100s, .half_close = 10s});
    f.run_until_idle();
    const auto start = start_of_test();
    f.subject->check(start + 99s); // notices the ten bytes
    f.subject->check(start + 198s);
    f.run_until_idle();
    CHECK(f.reports == 0);
    f.subject->check(start + 200s);
    f.run_until_idle();
    REQUIRE(f.reports == 1);
    CHECK(f.report.end == relay_end::idle_timeout);
    CHECK(f.client.aborted);
    CHECK(f.server.aborted);
}

TEST_CASE("after one end of stream the shorter limit holds, in either order", "[relay]")
{
    const bool client_first = GENERATE(true, false);
    fixture f;
    f.client = {.offers_bytes = 10, .takes_bytes = 100, .never_ends = !client_first};
    f.server = {.takes_bytes = 100, .never_ends = client_first};
    f.start({.idle = 100s, .half_close = 10s});
    f.run_until_idle();
    CHECK(f.server.end_sent == client_first);
    CHECK(f.client.end_sent == !client_first);
    const auto start = start_of_test();
    f.subject->check(start + 1s); // notices the end
    f.subject->check(start + 10s);
    f.run_until_idle();
    CHECK(f.reports == 0);
    f.subject->check(start + 11s);
    f.run_until_idle();
    REQUIRE(f.reports == 1);
    CHECK(f.report.end == relay_end::half_close_timeout);
}

TEST_CASE("a sink that takes nothing counts as silence", "[relay]")
{
    fixture f;
    f.client = {.offers_bytes = 10, .never_ends = true};
    f.server = {.never_ends = true, .never_takes = true};
    f.start({.idle = 100s, .half_close = 10s});
    f.run_until_idle();
    f.subject->check(start_of_test() + 101s);
    f.run_until_idle();
    REQUIRE(f.reports == 1);
    CHECK(f.report.end == relay_end::idle_timeout);
}

TEST_CASE("a snapshot counts what was delivered so far", "[relay]")
{
    fixture f;
    f.client = {.offers_bytes = 10, .takes_bytes = 100, .never_ends = true};
    f.server = {.offers_bytes = 20, .takes_bytes = 100, .never_ends = true};
    f.start();
    f.run_until_idle();
    CHECK(f.subject->snapshot().bytes_to_server == 10);
    CHECK(f.subject->snapshot().bytes_to_client == 20);
    f.subject->abort();
    f.run_until_idle();
}
