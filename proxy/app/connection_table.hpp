// connection_table.hpp: the connections that one thread relays at the moment.
//
// A relayed connection is a relay and one entry here; the coroutine that made it has ended.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/app/service.hpp"
#include "proxy/control/state.hpp"
#include "proxy/relay/relay.hpp"
#include "proxy/transport/destination.hpp"

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <vector>

namespace manypath {

/// What is known about a connection besides its bytes.
struct connection {
    connection_share share;
    endpoint client;
    destination to;
    endpoint server;
    std::chrono::steady_clock::time_point since;
};

/// Not thread safe. Outlives its relays.
class connection_table {
public:
    using clock = std::chrono::steady_clock;

    /// @param pipes     outlives the table
    /// @param released  called after each end of a connection
    connection_table(pipe_pool& pipes, std::function<void()> released)
        : pipes_(pipes), released_(std::move(released))
    {
    }

    /// Relays until both sides have ended, then writes the connection's log line.
    void add(connection about, std::unique_ptr<stream> client, std::unique_ptr<stream> server,
             std::vector<std::byte> early);

    /// Enforces the connections' time limits.
    void check(clock::time_point now);

    /// Ends every connection with RST.
    void abort_all();

    [[nodiscard]] std::vector<control::connection_state> states(clock::time_point now) const;
    [[nodiscard]] bool empty() const noexcept { return entries_.empty(); }

private:
    struct entry {
        connection about;
        std::shared_ptr<relay> relays;
    };

    template <typename Action>
    void for_each(Action action);

    pipe_pool& pipes_;
    std::function<void()> released_;
    std::list<entry> entries_;
};

} // namespace manypath
