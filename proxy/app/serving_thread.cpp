// SPDX-License-Identifier: Apache-2.0
#include "proxy/app/serving_thread.hpp"

#include "proxy/kernel/kernel_backend.hpp"
#include "proxy/log/log.hpp"

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace manypath {

namespace {

constexpr std::chrono::milliseconds ordinary_tick{1000};
constexpr std::chrono::milliseconds draining_tick{50}; ///< its end is awaited

} // namespace

struct serving_thread::place {
    std::shared_ptr<const service> by;
    std::shared_ptr<mode> speaks;
    std::unique_ptr<acceptor> accepts;
    bool closed = false;
};

serving_thread::serving_thread(shared_parts shared)
    : work_(context_.get_executor()),
      shared_(shared),
      backend_(kernel::make_backend(context_)),
      pipes_(shared.pipes),
      connections_(pipes_, [this] { room_.cancel(); }),
      dialer_(context_, backend_->dials(), shared.resolves, shared.memory),
      tick_(context_),
      room_(context_, clock::time_point::max()),
      tasks_(context_),
      thread_([this] {
          arm_tick();
          context_.run();
          if (ended_)
              ended_();
      })
{
}

serving_thread::~serving_thread()
{
    thread_.join();
}

void serving_thread::serve(std::vector<listening> sockets)
{
    stop_accepting();
    for (auto& [by, socket] : sockets) {
        auto at = std::make_shared<place>();
        at->by = std::move(by);
        at->speaks = make_mode(at->by->listener);
        at->accepts = backend_->make_acceptor(std::move(socket));
        places_.push_back(at);
        tasks_.spawn("accept", accept_from(std::move(at)));
    }
}

void serving_thread::stop_accepting()
{
    for (const auto& at : std::exchange(places_, {})) {
        at->closed = true;
        at->accepts->close();
    }
    room_.cancel();
}

void serving_thread::drain(clock::time_point deadline, std::function<void()> ended)
{
    deadline_ = draining_ ? std::min(deadline_, deadline) : deadline;
    if (!draining_)
        ended_ = std::move(ended);
    draining_ = true;
    stop_accepting();
    tick_.cancel();
}

std::vector<control::connection_state> serving_thread::connections() const
{
    return connections_.states(clock::now());
}

asio::awaitable<void> serving_thread::wait_for_room(const place& at)
{
    while (!at.closed && !shared_.budget.may_accept(clock::now())) {
        error_code woken;
        co_await room_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
}

asio::awaitable<void> serving_thread::accept_from(std::shared_ptr<place> at)
{
    co_await asio::this_coro::throw_if_cancelled(false);
    while (!at->closed) {
        co_await wait_for_room(*at);
        error_code ec;
        auto client = co_await at->accepts->accept(ec);
        if (ec == asio::error::operation_aborted)
            break;
        if (ec) {
            if (ec != asio::error::no_descriptors)
                log::warning("listener {}: accept: {}", at->by->listener.name, ec.message());
            shared_.budget.ran_out(clock::now());
            continue;
        }
        const session_parts parts{dialer_, handshakes_, connections_};
        connection_share share{shared_.budget, at->by};
        tasks_.spawn("connection",
                     run_session(parts, at->speaks, std::move(share), std::move(client)));
    }
}

void serving_thread::arm_tick()
{
    tick_.expires_after(draining_ ? draining_tick : ordinary_tick);
    tick_.async_wait([this](error_code) { tick(); });
}

void serving_thread::tick()
{
    const auto now = clock::now();
    handshakes_.check(now);
    connections_.check(now);
    room_.cancel();
    if (draining_ && now >= deadline_) {
        connections_.abort_all();
        tasks_.cancel();
    }
    if (draining_ && connections_.empty() && tasks_.size() == 0)
        work_.reset();
    else
        arm_tick();
}

} // namespace manypath
