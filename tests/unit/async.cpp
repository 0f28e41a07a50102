// SPDX-License-Identifier: Apache-2.0
#include "proxy/async/task_group.hpp"
#include "proxy/async/unique_fd.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <stdexcept>

using namespace manypath;

namespace {

asio::awaitable<void> sleep_for_ever(error_code& ended_with)
{
    asio::steady_timer timer{co_await asio::this_coro::executor};
    timer.expires_at(asio::steady_timer::time_point::max());
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ended_with));
}

asio::awaitable<void> fail()
{
    throw std::runtime_error{"expected by the test"};
    co_return;
}

} // namespace

// Goal: a shutdown ends every coroutine. Method: two sleepers that only cancellation can end.
TEST_CASE("cancelling a task group ends all of its tasks", "[async]")
{
    asio::io_context context{1};
    task_group tasks{context};
    error_code first;
    error_code second;
    tasks.spawn("first", sleep_for_ever(first));
    tasks.spawn("second", sleep_for_ever(second));
    context.poll();
    REQUIRE(tasks.size() == 2);
    tasks.cancel();
    context.run();
    CHECK(tasks.size() == 0);
    CHECK(first == asio::error::operation_aborted);
    CHECK(second == asio::error::operation_aborted);
}

// Goal: one failing connection does not end the thread that serves the others.
TEST_CASE("an exception in a task leaves the event loop running", "[async]")
{
    asio::io_context context{1};
    task_group tasks{context};
    tasks.spawn("failing task", fail());
    CHECK_NOTHROW(context.run());
    CHECK(tasks.size() == 0);
}

TEST_CASE("a moved unique_fd leaves the descriptor open exactly once", "[async]")
{
    unique_fd first{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
    REQUIRE(first);
    const int number = first.get();
    unique_fd second{std::move(first)};
    CHECK(second.get() == number);
    second.reset();
    CHECK(::fcntl(number, F_GETFD) == -1);
}
