// scripted_stream.hpp: a stream whose other end is the test.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/transport/stream.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace manypath::test {

/// What the test sees and decides of a scripted_stream; outlives it where the test wants.
struct scripted_peer {
    std::deque<std::string> to_come;           ///< each is what one read gets
    error_code end = asio::error::would_block; ///< after to_come; would_block: silence
    std::string received;                      ///< what was written to the stream
    std::size_t room = std::string::npos;      ///< bytes that one write takes
    bool send_ended = false;
    bool aborted = false;
    bool closed = false;
    endpoint local{asio::ip::make_address("198.18.2.2"), 80};
    endpoint remote{asio::ip::make_address("198.18.0.2"), 40000};
    connection_info info;
};

class scripted_stream final : public stream {
public:
    scripted_stream(asio::io_context& context, std::shared_ptr<scripted_peer> peer)
        : context_(context), peer_(std::move(peer))
    {
    }

    void async_wait(readiness what, ready_handler handler) override
    {
        const bool ready = what == readiness::writable || !peer_->to_come.empty() ||
                           peer_->end != asio::error::would_block;
        if (ready && what != readiness::hang_up)
            post(std::move(handler), {});
        else
            waiting_.push_back(std::move(handler));
    }

    std::size_t read_some(std::span<std::byte> buffer, error_code& ec) override
    {
        if (peer_->to_come.empty()) {
            ec = peer_->end;
            return 0;
        }
        ec.clear();
        std::string& first = peer_->to_come.front();
        const std::size_t size = std::min(first.size(), buffer.size());
        std::memcpy(buffer.data(), first.data(), size);
        first.erase(0, size);
        if (first.empty())
            peer_->to_come.pop_front();
        return size;
    }

    std::size_t write_some(std::span<const std::byte> data, error_code& ec) override
    {
        ec.clear();
        const std::size_t size = std::min(data.size(), peer_->room);
        for (const std::byte b : data.first(size))
            peer_->received.push_back(static_cast<char>(b));
        return size;
    }

    void shutdown_send(error_code& ec) override
    {
        ec.clear();
        peer_->send_ended = true;
    }
    void abort() noexcept override
    {
        peer_->aborted = true;
        close();
    }
    void close() noexcept override
    {
        peer_->closed = true;
        peer_->end = asio::error::operation_aborted;
        for (auto& handler : std::exchange(waiting_, {}))
            post(std::move(handler), asio::error::operation_aborted);
    }
    [[nodiscard]] int native_handle() const noexcept override { return -1; }
    [[nodiscard]] endpoint local() const override { return peer_->local; }
    [[nodiscard]] endpoint remote() const override { return peer_->remote; }
    [[nodiscard]] connection_info info() const override { return peer_->info; }

private:
    void post(ready_handler handler, error_code ec)
    {
        asio::post(context_, [handler = std::move(handler), ec]() mutable { handler(ec); });
    }

    asio::io_context& context_;
    std::shared_ptr<scripted_peer> peer_;
    std::deque<ready_handler> waiting_;
};

/// Cuts `text` into chunks of `size` bytes for scripted_peer::to_come.
[[nodiscard]] inline std::deque<std::string> in_chunks(std::string_view text, std::size_t size)
{
    std::deque<std::string> chunks;
    for (std::size_t at = 0; at < text.size(); at += size)
        chunks.emplace_back(text.substr(at, size));
    return chunks;
}

} // namespace manypath::test
