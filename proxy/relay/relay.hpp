// relay.hpp: moves bytes between two connected streams until both ends have ended.
//
// Not coroutines but one object per connection: an idle connection then costs two waits instead
// of three coroutine frames, and thousands of idle connections are a gateway's daily life.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/transport/stream.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace manypath {

enum class relay_end : std::uint8_t {
    finished,           ///< both directions ended with FIN
    reset_by_client,    ///< RST or MP_FASTCLOSE, passed on to the server
    reset_by_server,    ///< the same in the other direction
    idle_timeout,       ///< no byte in either direction for relay_limits::idle
    half_close_timeout, ///< one direction ended, the other was silent for relay_limits::half_close
    aborted,            ///< by abort()
};

struct relay_limits {
    std::chrono::seconds idle{3600};
    std::chrono::seconds half_close{60};
};

struct relay_report {
    relay_end end = relay_end::finished;
    error_code error; ///< what the resetting side reported
    std::uint64_t bytes_to_server = 0;
    std::uint64_t bytes_to_client = 0;
    connection_info client; ///< taken while the subflows were still there
    connection_info server;
};

class pipe_pool;

/// One connection. Keeps itself alive through its pending waits; belongs to one thread.
class relay : public std::enable_shared_from_this<relay> {
public:
    using clock = std::chrono::steady_clock;
    using done_handler = std::move_only_function<void(const relay_report&)>;

    /// @param pipes  of the same thread, outlives the relay
    static std::shared_ptr<relay> create(std::unique_ptr<stream> client,
                                         std::unique_ptr<stream> server, relay_limits limits,
                                         pipe_pool& pipes);
    ~relay();

    /// @param early  bytes which the client already sent, delivered to the server first
    /// @param done   called exactly once, when both streams are closed
    void start(std::vector<std::byte> early, done_handler done);

    /// Ends both sides with RST. No-op once it has ended.
    void abort();

    /// Enforces the time limits; the owner calls it about once a second.
    void check(clock::time_point now);

    /// The state of this moment, for `manypathctl connections`.
    [[nodiscard]] relay_report snapshot() const;
};

} // namespace manypath
