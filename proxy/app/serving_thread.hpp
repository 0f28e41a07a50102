// serving_thread.hpp: one thread of the worker with everything that belongs to it.
//
// Threads share nothing but counters, the resolver and the fallback memory: each has listening
// sockets of its own, and a connection stays on the thread that accepted it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/app/session.hpp"
#include "proxy/async/task_group.hpp"
#include "proxy/async/unique_fd.hpp"
#include "proxy/relay/pipe_pool.hpp"
#include "proxy/transport/backend.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

namespace manypath {

/// Shared by all threads; outlives them.
struct shared_parts {
    accept_budget& budget;
    resolver& resolves;
    fallback_memory& memory;
    std::size_t pipes; ///< per thread
};

/// A listening socket and what is served there.
struct listening {
    std::shared_ptr<const service> by;
    unique_fd socket;
};

class serving_thread {
public:
    using clock = std::chrono::steady_clock;

    /// Starts the thread; it serves nothing yet.
    explicit serving_thread(shared_parts shared);
    serving_thread(const serving_thread&) = delete;
    serving_thread& operator=(const serving_thread&) = delete;
    /// Waits for the end of the thread: drain() comes first.
    ~serving_thread();

    /// For posting the calls below, which belong to the thread.
    [[nodiscard]] asio::io_context& context() noexcept { return context_; }

    /// Accepts from these sockets and from no others any more. Running connections go on.
    void serve(std::vector<listening> sockets);

    /// Stops accepting, and ends the thread when its connections have ended or at the deadline,
    /// when it aborts them. A second call brings the deadline forward.
    /// @param ended  called on this thread at its very end; the second one is dropped
    void drain(clock::time_point deadline, std::function<void()> ended);

    [[nodiscard]] std::vector<control::connection_state> connections() const;

private:
    struct place; ///< an acceptor and what it serves

    asio::awaitable<void> accept_from(std::shared_ptr<place> at);
    asio::awaitable<void> wait_for_room(const place& at);
    void stop_accepting();
    void arm_tick();
    void tick();

    asio::io_context context_{1};
    asio::executor_work_guard<executor> work_;
    shared_parts shared_;
    std::unique_ptr<backend> backend_;
    pipe_pool pipes_;
    handshake_watch handshakes_;
    connection_table connections_;
    dialer dialer_;
    asio::steady_timer tick_;
    asio::steady_timer room_; ///< cancelled when it is worth asking the budget again
    std::vector<std::shared_ptr<place>> places_;
    bool draining_ = false;
    clock::time_point deadline_;
    std::function<void()> ended_;
    task_group tasks_; ///< ends before what its tasks use
    std::thread thread_;
};

} // namespace manypath
