// SPDX-License-Identifier: Apache-2.0
#include "proxy/transport/dialer.hpp"

#include "proxy/async/task_group.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace manypath {

/// The attempts of one dial; its tasks end before it does.
struct dialer::race {
    asio::io_context& context;
    dial_options options;
    asio::steady_timer wake; ///< cancelled whenever a task has news
    std::optional<attempt_plan> plan;
    std::size_t running = 0; ///< tasks that have yet to tell their news
    error_code look_up_error;
    std::unique_ptr<stream> winner;
    std::size_t winning_attempt = 0;
    task_group tasks;

    race(asio::io_context& on, dial_options o) : context(on), options(o), wake(on), tasks(on) {}

    [[nodiscard]] bool decided() const
    {
        return winner || look_up_error || (plan && plan->exhausted());
    }

    asio::awaitable<void> wait_for_news(clock::time_point until)
    {
        wake.expires_at(until);
        error_code ignored;
        co_await wake.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    }

    /// Cancels the losers and waits until they are gone.
    asio::awaitable<void> finish()
    {
        tasks.cancel();
        while (running > 0)
            co_await wait_for_news(clock::time_point::max());
        while (tasks.size() > 0) // a turn of the event loop after their last words
            co_await asio::post(context, asio::use_awaitable);
    }
};

/// Held by a task of a race; its end is the news.
struct dialer::news {
    race& r;
    ~news()
    {
        --r.running;
        r.wake.cancel();
    }
};

void dialer::plan(race& r, const std::vector<asio::ip::address>& addresses, std::uint16_t port)
{
    std::vector<candidate> candidates;
    for (const auto& address : addresses) {
        const endpoint at = unmapped(endpoint{address, port});
        if (r.options.source && r.options.source->is_v6() != at.address().is_v6())
            continue;
        const bool mptcp =
            r.options.speak == protocol::mptcp && !memory_.prefers_tcp(at, clock::now());
        candidates.push_back({at, mptcp ? protocol::mptcp : protocol::tcp});
    }
    if (candidates.empty())
        r.look_up_error = asio::error::address_family_not_supported;
    else
        r.plan.emplace(std::move(candidates), timing_);
}

asio::awaitable<void> dialer::look_up(race& r, host_port to)
{
    const news at_end{r};
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto addresses = co_await resolver_.resolve(std::move(to.host), r.look_up_error);
    if (!r.look_up_error)
        plan(r, interleave_families(addresses), to.port);
}

asio::awaitable<void> dialer::try_once(race& r, attempt what)
{
    const news at_end{r};
    co_await asio::this_coro::throw_if_cancelled(false);
    connect_options options{.speak = what.what.speak, .source = {}};
    if (r.options.source)
        options.source = endpoint{*r.options.source, 0};
    error_code ec;
    auto connected = co_await connector_.connect(what.what.to, options, ec);
    if (ec) {
        r.plan->on_failure(what.number, ec);
    } else if (r.winner) {
        connected->abort();
    } else {
        r.winner = std::move(connected);
        r.winning_attempt = what.number;
    }
}

/// Starts what is due until one attempt wins, all have failed, or time is up.
asio::awaitable<void> dialer::run(race& r, clock::time_point deadline)
{
    for (;;) {
        const auto state = co_await asio::this_coro::cancellation_state;
        const auto now = clock::now();
        if (r.decided() || now >= deadline || state.cancelled() != asio::cancellation_type::none)
            co_return;
        while (const auto due = r.plan ? r.plan->next(now) : std::nullopt) {
            ++r.running;
            r.tasks.spawn("dial", try_once(r, *due));
        }
        if (r.decided()) // an attempt can end inside spawn()
            co_return;
        const auto next = r.plan ? r.plan->due() : std::nullopt;
        co_await r.wait_for_news(std::min(deadline, next.value_or(deadline)));
    }
}

void dialer::learn(const race& r)
{
    const endpoint to = unmapped(r.winner->remote());
    const connection_info got = r.winner->info();
    if (r.plan->mptcp_failed_beside(r.winning_attempt))
        memory_.remember(to, fallback_reason::unanswered, clock::now());
    else if (got.asked == protocol::mptcp && got.negotiated == protocol::tcp)
        memory_.remember(to, fallback_reason::fell_back, clock::now());
    else if (got.negotiated == protocol::mptcp)
        memory_.forget(to);
}

asio::awaitable<std::unique_ptr<stream>> dialer::dial(destination to, dial_options options,
                                                      error_code& ec)
{
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto deadline = clock::now() + options.limit;
    race r{context_, options};
    if (const auto* at = std::get_if<endpoint>(&to)) {
        plan(r, {at->address()}, at->port());
    } else {
        ++r.running;
        r.tasks.spawn("look up", look_up(r, std::get<host_port>(to)));
    }
    co_await run(r, deadline);
    const auto state = co_await asio::this_coro::cancellation_state;
    const bool timed_out = !r.decided();
    co_await r.finish();
    if (r.winner && state.cancelled() == asio::cancellation_type::none) {
        ec.clear();
        if (options.speak == protocol::mptcp)
            learn(r);
        co_return std::move(r.winner);
    }
    if (state.cancelled() != asio::cancellation_type::none)
        ec = asio::error::operation_aborted;
    else if (timed_out)
        ec = asio::error::timed_out;
    else
        ec = r.look_up_error ? r.look_up_error : r.plan->error();
    co_return nullptr;
}

} // namespace manypath
