// relay.hpp: moves bytes between two connected streams until both ends have ended.
//
// Not coroutines but one object per connection: an idle connection then costs two waits instead
// of three coroutine frames, and thousands of idle connections are a gateway's daily life.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/relay/flow.hpp"
#include "proxy/transport/stream.hpp"

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
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

/// One connection. Keeps itself alive through its pending waits; belongs to one thread.
class relay : public std::enable_shared_from_this<relay> {
public:
    using clock = std::chrono::steady_clock;
    using done_handler = std::move_only_function<void(const relay_report&)>;

    /// @param pipes  of the same thread, outlives the relay
    static std::shared_ptr<relay> create(std::unique_ptr<stream> client,
                                         std::unique_ptr<stream> server, relay_limits limits,
                                         pipe_pool& pipes);

    /// @param early  bytes which the client already sent, delivered to the server first
    /// @param done   called exactly once, when both streams are closed; always from the event
    ///               loop, never from inside a call of this class
    void start(std::vector<std::byte> early, done_handler done);

    /// Ends both sides with RST. No-op once it has ended.
    void abort();

    /// Enforces the time limits and notices resets of a side that nobody reads from; the owner
    /// calls it about once a second. A limit is noticed up to one such interval late, because the
    /// relay itself never reads the clock.
    void check(clock::time_point now);

    /// The state of this moment, for `manypathctl connections`.
    [[nodiscard]] relay_report snapshot() const;

private:
    /// Names a stream, and the direction whose source that stream is.
    enum side : std::uint8_t { client = 0, server = 1 };
    static side other(side s) noexcept { return s == client ? server : client; }

    relay(std::unique_ptr<stream> client_stream, std::unique_ptr<stream> server_stream,
          relay_limits limits, pipe_pool& pipes);

    void wait(side direction, side where, readiness what);
    void watch(side where);
    void on_ready(side direction);
    void on_hang_up(side where, error_code ec);
    void advance(side direction);
    void end_direction(side direction);
    void fail(side where, error_code ec);
    void pass_reset_on();
    void finish(relay_end end);
    void leave_handler();
    void remember_subflows();
    [[nodiscard]] std::uint64_t activity() const;
    [[nodiscard]] std::chrono::nanoseconds patience() const;

    struct half {
        half(std::unique_ptr<stream> stream, pipe_pool& pipes, bool ends_after_data)
            : from(std::move(stream)), forward(pipes, ends_after_data)
        {
        }
        std::unique_ptr<stream> from;
        flow forward;
        bool blocked = false; ///< the other side takes no more, so nobody reads from this one
        bool ended = false;   ///< no more bytes come from this side
        bool watched = false; ///< a wait for hang_up was started
    };

    std::array<half, 2> halves_;
    relay_limits limits_;
    std::uint8_t pending_waits_ = 0;
    bool closed_ = false;
    std::optional<side> failed_;
    relay_end end_ = relay_end::finished;
    error_code error_;
    std::uint64_t seen_activity_ = 0;
    clock::time_point seen_at_;
    std::unique_ptr<std::array<connection_info, 2>> remembered_;
    done_handler done_;
};

} // namespace manypath
