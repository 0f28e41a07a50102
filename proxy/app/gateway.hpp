// gateway.hpp: the worker's threads as one thing: what they serve, their end, their state.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/app/serving_thread.hpp"
#include "proxy/keeper/channel.hpp"
#include "proxy/transport/fallback_memory.hpp"
#include "proxy/transport/system_resolver.hpp"

#include <functional>
#include <memory>
#include <vector>

namespace manypath {

/// Belongs to the worker's main thread, which runs `context`.
class gateway {
public:
    using clock = std::chrono::steady_clock;

    /// Starts the threads.
    /// @param descriptors  the process's soft limit
    /// @param mptcp        false: this host refuses MPTCP sockets
    gateway(asio::io_context& context, unsigned threads, std::uint64_t descriptors, bool mptcp);
    gateway(const gateway&) = delete;
    gateway& operator=(const gateway&) = delete;
    /// Waits for the threads: drain() comes first.
    ~gateway();

    /// Serves this from now on; listeners without a socket in `sockets` stop accepting.
    void serve(const config::configuration& from, std::vector<keeper::listener_socket> sockets);

    /// Stops accepting; aborts what still runs at the deadline. A second call may bring the
    /// deadline forward.
    /// @param ended  called on the main thread when no connection is left; only the first counts
    void drain(clock::time_point deadline, std::function<void()> ended);

    [[nodiscard]] control::daemon_state status() const;
    asio::awaitable<std::vector<control::connection_state>> connections();

private:
    asio::io_context& context_;
    bool mptcp_;
    accept_budget budget_;
    system_resolver resolver_;
    fallback_memory memory_;
    service_list services_;
    clock::time_point started_ = clock::now();
    bool draining_ = false;
    std::size_t running_threads_;
    std::vector<std::unique_ptr<serving_thread>> threads_;
};

} // namespace manypath
