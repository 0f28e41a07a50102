// task_group.hpp: the coroutines of one thread, so that none is lost and all can be stopped.
//
// Every co_spawn of the gateway is here: an exception that leaves a coroutine is logged, never
// dropped, and a shutdown can cancel whatever still runs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/asio.hpp"

#include <boost/asio/cancellation_signal.hpp>
#include <list>
#include <string>

namespace manypath {

/// Not thread safe: all calls come from the thread that runs `context`. Outlives its tasks.
class task_group {
public:
    explicit task_group(asio::io_context& context) : context_(context) {}
    task_group(const task_group&) = delete;
    task_group& operator=(const task_group&) = delete;

    /// Starts `task`; `name` stands in the log line if an exception leaves it.
    void spawn(std::string name, asio::awaitable<void> task);

    /// Requests the terminal cancellation of every running task; they end soon after.
    void cancel();

    [[nodiscard]] std::size_t size() const noexcept { return running_.size(); }

private:
    asio::io_context& context_;
    std::list<asio::cancellation_signal> running_;
};

} // namespace manypath
