// flow.hpp: one direction of a relayed connection.
//
// Short messages are copied through the thread's buffer; once a read fills what it was given, the
// flow splices, and goes back to copying when little arrives at a time. Measured: a pipe costs
// more than a copy below some 16 KiB, and less than half of it above.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/relay/pipe_pool.hpp"
#include "proxy/transport/stream.hpp"

#include <cstdint>
#include <vector>

namespace manypath {

enum class flow_state : std::uint8_t {
    wants_source, ///< go on when the source is readable
    wants_sink,   ///< go on when the sink is writable; bytes are held back
    ended,        ///< end of stream, and all of it delivered
    source_failed,
    sink_failed,
};

/// Knows its streams only during a call. Holds at most one pipe or one scratch buffer of bytes.
class flow {
public:
    /// @param ends_after_data  whether an end of stream often stands right behind short data, as
    ///                         a server's does: then one more read is cheaper than a wait
    flow(pipe_pool& pipes, bool ends_after_data) noexcept
        : pipes_(&pipes), reads_again_(ends_after_data)
    {
    }
    flow(const flow&) = delete;
    flow& operator=(const flow&) = delete;
    ~flow() { release(); }

    /// Bytes to deliver before anything that is read.
    void deliver_first(std::vector<std::byte> bytes) { kept_ = std::move(bytes); }

    /// Moves bytes until one side blocks or this connection has had its turn of a few
    /// megabytes; then it says wants_source although there may be more.
    /// @param ec  the failed stream's error; untouched otherwise
    flow_state run(stream& source, stream& sink, error_code& ec);

    /// Drops what is held and gives the pipe back.
    void release() noexcept;

    [[nodiscard]] std::uint64_t delivered_bytes() const noexcept { return delivered_bytes_; }

private:
    enum class step : std::uint8_t { moved, blocked, ended, source_failed, sink_failed };

    step fill(stream& source, stream& sink, error_code& ec);
    step fill_by_copy(stream& source, stream& sink, error_code& ec);
    step fill_pipe(int source, error_code& ec);
    step drain(stream& sink, error_code& ec);
    step drain_kept(stream& sink, error_code& ec);
    step drain_pipe(stream& sink, error_code& ec);
    void empty_pipe_into_kept();
    void return_pipe() noexcept;
    [[nodiscard]] bool can_splice(const stream& source, const stream& sink) const noexcept;

    pipe_pool* pipes_;
    splice_pipe pipe_;
    std::vector<std::byte> kept_; ///< read, but not taken by the sink yet
    std::size_t kept_from_ = 0;
    std::uint64_t delivered_bytes_ = 0;
    bool reads_again_;
    bool splices_ = true;  ///< no socket has refused to
    bool in_bulk_ = false; ///< the last read filled its buffer
    bool is_dry_ = false;  ///< the last read found less than it was given room for
    bool at_end_ = false;
};

} // namespace manypath
