// fake_stream.hpp: a stream without a socket, which fails at the operation a test names.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/transport/stream.hpp"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <optional>
#include <utility>

namespace manypath::test {

/// What a test sees of a stream after the relay has destroyed it.
struct fake_state {
    std::size_t offers_bytes = 0; ///< that reading still gives, then the end of the stream
    std::size_t takes_bytes = 0;  ///< of one write; the next one blocks once
    bool never_ends = false;      ///< reading gives would_block instead of the end
    bool never_takes = false;     ///< writing always blocks
    std::size_t read_bytes = 0;
    std::size_t written_bytes = 0;
    bool end_sent = false;
    bool aborted = false;
    bool closed = false;
    bool failed = false; ///< the operation named by the countdown was one of this stream
};

/// Counts the operations of both streams of a relay; the one at zero fails.
struct countdown {
    int operations_left = -1; ///< negative: none fails
};

class fake_stream final : public stream {
public:
    fake_stream(asio::io_context& context, fake_state& state, countdown& count)
        : context_(context), state_(state), count_(count)
    {
    }
    ~fake_stream() override { end_waits(); }

    void async_wait(readiness what, ready_handler handler) override
    {
        const bool would_wait =
            what == readiness::hang_up ||
            (what == readiness::readable && state_.never_ends && state_.offers_bytes == 0) ||
            (what == readiness::writable && state_.never_takes);
        if (would_wait && !over())
            waiting_[std::to_underlying(what)] = std::move(handler);
        else
            finish_wait(std::move(handler), over() ? asio::error::operation_aborted : error_code{});
    }

    std::size_t read_some(std::span<std::byte> buffer, error_code& ec) override
    {
        if (fails(ec))
            return 0;
        const std::size_t size = std::min(buffer.size(), state_.offers_bytes);
        if (size == 0)
            ec = state_.never_ends ? asio::error::would_block : error_code{asio::error::eof};
        state_.offers_bytes -= size;
        state_.read_bytes += size;
        return size;
    }

    std::size_t write_some(std::span<const std::byte> data, error_code& ec) override
    {
        if (fails(ec))
            return 0;
        blocks_ = !blocks_;
        if (state_.never_takes || (!blocks_ && data.size() > state_.takes_bytes)) {
            ec = asio::error::would_block;
            return 0;
        }
        const std::size_t size = std::min(data.size(), state_.takes_bytes);
        state_.written_bytes += size;
        return size;
    }

    void shutdown_send(error_code& ec) override
    {
        if (!fails(ec))
            state_.end_sent = true;
    }
    void abort() noexcept override
    {
        state_.aborted = true;
        end_waits();
    }
    void close() noexcept override
    {
        state_.closed = true;
        end_waits();
    }
    [[nodiscard]] int native_handle() const noexcept override { return -1; }
    [[nodiscard]] endpoint local() const override { return {}; }
    [[nodiscard]] endpoint remote() const override { return {}; }
    [[nodiscard]] connection_info info() const override { return {}; }

private:
    [[nodiscard]] bool over() const { return state_.aborted || state_.closed; }

    bool fails(error_code& ec)
    {
        ec.clear();
        if (count_.operations_left < 0 || count_.operations_left-- > 0)
            return false;
        state_.failed = true;
        ec = asio::error::connection_reset;
        return true;
    }

    void finish_wait(ready_handler handler, error_code ec)
    {
        asio::post(context_, [handler = std::move(handler), ec]() mutable { handler(ec); });
    }

    void end_waits() noexcept
    {
        for (auto& handler : waiting_)
            if (handler)
                finish_wait(std::exchange(handler, {}), asio::error::operation_aborted);
    }

    asio::io_context& context_;
    fake_state& state_;
    countdown& count_;
    bool blocks_ = false;
    std::array<ready_handler, 3> waiting_;
};

} // namespace manypath::test
