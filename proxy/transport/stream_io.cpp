// SPDX-License-Identifier: Apache-2.0
#include "proxy/transport/stream_io.hpp"

#include <array>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <utility>

namespace manypath {

namespace {

/// Starts the wait whose end resumes a coroutine.
struct start_wait {
    stream& on;
    readiness what;

    template <typename Handler>
    void operator()(Handler handler) const
    {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected())
            slot.assign([&on = on](asio::cancellation_type) { on.abort(); });
        on.async_wait(what, [slot, handler = std::move(handler)](error_code ec) mutable {
            if (slot.is_connected())
                slot.clear();
            std::move(handler)(ec);
        });
    }
};

} // namespace

asio::awaitable<void> wait(stream& on, readiness what, error_code& ec)
{
    using token = asio::redirect_error_t<asio::use_awaitable_t<>>;
    token resume{asio::use_awaitable, ec};
    start_wait start{on, what};
    co_await asio::async_initiate<token, void(error_code)>(start, resume);
}

asio::awaitable<std::size_t> read_some(stream& from, std::span<std::byte> buffer, error_code& ec)
{
    for (;;) {
        const std::size_t size = from.read_some(buffer, ec);
        if (ec != asio::error::would_block)
            co_return size;
        co_await wait(from, readiness::readable, ec);
        if (ec)
            co_return 0;
    }
}

asio::awaitable<void> write_all(stream& to, std::span<const std::byte> data, error_code& ec)
{
    ec.clear();
    while (!data.empty()) {
        const std::size_t size = to.write_some(data, ec);
        data = data.subspan(size);
        if (ec && ec != asio::error::would_block)
            co_return;
        if (!data.empty())
            co_await wait(to, readiness::writable, ec);
        if (ec && ec != asio::error::would_block)
            co_return;
    }
    ec.clear();
}

asio::awaitable<void> say_goodbye(stream& to, std::size_t most_bytes)
{
    error_code ec;
    to.shutdown_send(ec);
    std::array<std::byte, 2048> discarded;
    for (std::size_t seen = 0; !ec && seen < most_bytes;)
        seen += co_await read_some(to, discarded, ec);
    to.close();
}

} // namespace manypath
