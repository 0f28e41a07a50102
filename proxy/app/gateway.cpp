// SPDX-License-Identifier: Apache-2.0
#include "proxy/app/gateway.hpp"

#include <algorithm>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <iterator>
#include <utility>

namespace manypath {

namespace {

using states = std::vector<control::connection_state>;

/// Pipes are what connections borrow while data flows; a twentieth of the descriptors, shared
/// between the threads, keeps them within what accept_budget leaves free.
std::size_t pipes_per_thread(std::uint64_t descriptors, unsigned threads)
{
    const std::uint64_t share = descriptors / 40 / threads;
    return static_cast<std::size_t>(std::clamp<std::uint64_t>(share, 1, 128));
}

/// Asks a thread for its connections and comes back to the one that asked.
struct ask_thread {
    serving_thread& asked;

    template <typename Handler>
    void operator()(Handler handler) const
    {
        const auto home = asio::get_associated_executor(handler);
        auto question = [&thread = asked, home, handler = std::move(handler),
                         work = asio::make_work_guard(home)]() mutable {
            auto answer = [handler = std::move(handler), found = thread.connections()]() mutable {
                std::move(handler)(std::move(found));
            };
            asio::post(home, std::move(answer));
        };
        asio::post(asked.context(), std::move(question));
    }
};

} // namespace

gateway::gateway(asio::io_context& context, unsigned threads, std::uint64_t descriptors, bool mptcp)
    : context_(context),
      mptcp_(mptcp),
      budget_(connections_carried_by(descriptors)),
      running_threads_(threads)
{
    const shared_parts shared{budget_, resolver_, memory_, pipes_per_thread(descriptors, threads)};
    for (unsigned i = 0; i < threads; ++i)
        threads_.push_back(std::make_unique<serving_thread>(shared));
}

gateway::~gateway() = default;

void gateway::serve(const config::configuration& from, std::vector<keeper::listener_socket> sockets)
{
    services_ = make_services(from, services_, mptcp_);
    std::vector<std::vector<listening>> per_thread(threads_.size());
    for (auto& [listener, thread, socket] : sockets)
        per_thread.at(thread).push_back({services_.at(listener), std::move(socket)});
    for (std::size_t i = 0; i < threads_.size(); ++i) {
        asio::post(threads_[i]->context(),
                   [&thread = *threads_[i], mine = std::move(per_thread[i])]() mutable {
                       thread.serve(std::move(mine));
                   });
    }
}

void gateway::drain(clock::time_point deadline, std::function<void()> ended)
{
    draining_ = true;
    const auto one_ended = [this, ended = std::move(ended)] {
        asio::post(context_, [this, ended] {
            if (--running_threads_ == 0)
                ended();
        });
    };
    for (const auto& thread : threads_) {
        asio::post(thread->context(),
                   [&thread = *thread, deadline, one_ended] { thread.drain(deadline, one_ended); });
    }
}

control::daemon_state gateway::status() const
{
    control::daemon_state state;
    state.version = MANYPATH_VERSION;
    state.backend = mptcp_ ? "kernel" : "tcp";
    state.uptime = std::chrono::duration_cast<std::chrono::seconds>(clock::now() - started_);
    state.threads = static_cast<unsigned>(threads_.size());
    state.connections = budget_.in_use();
    state.connections_maximum = budget_.maximum();
    state.accepting = !draining_ && budget_.accepting();
    state.fallbacks_remembered = memory_.size(clock::now());
    for (const auto& by : services_) {
        control::listener_state listener;
        listener.name = by->listener.name;
        listener.mode = by->listener.mode;
        listener.addresses = by->listener.addresses;
        listener.accept = by->listener.accept;
        listener.dial = by->listener.dial;
        listener.accepted = by->counters->accepted;
        listener.refused = by->counters->refused;
        listener.failed = by->counters->failed;
        listener.active = by->counters->active;
        state.listeners.push_back(std::move(listener));
    }
    return state;
}

asio::awaitable<states> gateway::connections()
{
    states all;
    for (const auto& thread : threads_) {
        ask_thread ask{*thread};
        auto token = asio::use_awaitable;
        auto some =
            co_await asio::async_initiate<asio::use_awaitable_t<>, void(states)>(ask, token);
        std::move(some.begin(), some.end(), std::back_inserter(all));
    }
    co_return all;
}

} // namespace manypath
