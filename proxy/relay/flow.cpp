// SPDX-License-Identifier: Apache-2.0
#include "proxy/relay/flow.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <utility>

namespace manypath {

namespace {

/// One turn: some 200 us of work, so that a thread's other connections wait no longer.
constexpr std::uint64_t turn_bytes = 2 * 1024 * 1024;

/// What a copying read is given while splicing is possible, and the least for which it pays.
constexpr std::size_t short_read_bytes = 16 * 1024;

constexpr unsigned splice_flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

error_code splice_error(int number) noexcept
{
    // The same names as stream::write_some() uses for a connection that is over.
    if (number == EPIPE || number == ENOTCONN)
        return asio::error::connection_reset;
    return {number, boost::system::system_category()};
}

bool refuses_splice(int number) noexcept
{
    return number == EINVAL || number == EOPNOTSUPP;
}

} // namespace

flow_state flow::run(stream& source, stream& sink, error_code& ec)
{
    const std::uint64_t turn_ends = delivered_bytes_ + turn_bytes;
    for (;;) {
        step done = drain(sink, ec);
        if (done == step::blocked)
            return flow_state::wants_sink;
        if (done == step::moved && at_end_)
            return flow_state::ended;
        if (done == step::moved) {
            const bool turn_is_over =
                delivered_bytes_ >= turn_ends || std::exchange(is_dry_, false);
            done = turn_is_over ? step::blocked : fill(source, sink, ec);
        }
        switch (done) {
        case step::moved:
            break;
        case step::blocked:
            return_pipe();
            return flow_state::wants_source;
        case step::ended:
            at_end_ = true;
            return_pipe();
            break;
        case step::source_failed:
            release();
            return flow_state::source_failed;
        case step::sink_failed:
            release();
            return flow_state::sink_failed;
        }
    }
}

void flow::release() noexcept
{
    return_pipe();
    kept_ = {};
    kept_from_ = 0;
}

bool flow::can_splice(const stream& source, const stream& sink) const noexcept
{
    return splices_ && source.native_handle() >= 0 && sink.native_handle() >= 0;
}

flow::step flow::fill(stream& source, stream& sink, error_code& ec)
{
    if (in_bulk_ && can_splice(source, sink)) {
        if (!pipe_)
            pipe_ = pipes_->take();
        if (pipe_)
            return fill_pipe(source.native_handle(), ec);
    }
    return fill_by_copy(source, sink, ec);
}

flow::step flow::fill_by_copy(stream& source, stream& sink, error_code& ec)
{
    auto buffer = pipes_->scratch();
    if (!in_bulk_ && can_splice(source, sink))
        buffer = buffer.first(short_read_bytes);
    error_code read_error;
    const std::size_t size = source.read_some(buffer, read_error);
    if (read_error == asio::error::eof)
        return step::ended;
    if (read_error == asio::error::would_block) {
        in_bulk_ = false;
        return step::blocked;
    }
    if (read_error) {
        ec = read_error;
        return step::source_failed;
    }
    in_bulk_ = size == buffer.size();
    is_dry_ = !in_bulk_ && !reads_again_;
    error_code write_error;
    const std::size_t taken = sink.write_some(buffer.first(size), write_error);
    delivered_bytes_ += taken;
    if (write_error && write_error != asio::error::would_block) {
        ec = write_error;
        return step::sink_failed;
    }
    const auto rest = buffer.subspan(taken, size - taken);
    kept_.assign(rest.begin(), rest.end());
    return step::moved;
}

flow::step flow::fill_pipe(int source, error_code& ec)
{
    // The pipe is empty here, so EAGAIN says that the socket is empty, never that the pipe is
    // full.
    const ssize_t size =
        ::splice(source, nullptr, pipe_.entry.get(), nullptr, pipe_pool::pipe_bytes, splice_flags);
    if (size > 0) {
        pipe_.held_bytes = static_cast<std::size_t>(size);
        in_bulk_ = pipe_.held_bytes >= short_read_bytes;
        return step::moved;
    }
    if (size == 0)
        return step::ended;
    if (errno == EAGAIN)
        return step::blocked;
    if (refuses_splice(errno)) {
        splices_ = false;
        return_pipe();
        return step::moved;
    }
    ec = splice_error(errno);
    return step::source_failed;
}

flow::step flow::drain(stream& sink, error_code& ec)
{
    if (!kept_.empty()) {
        const step done = drain_kept(sink, ec);
        if (done != step::moved)
            return done;
    }
    while (pipe_.held_bytes > 0) {
        const step done = drain_pipe(sink, ec);
        if (done != step::moved)
            return done;
    }
    return step::moved;
}

flow::step flow::drain_kept(stream& sink, error_code& ec)
{
    while (kept_from_ < kept_.size()) {
        error_code write_error;
        const std::size_t taken =
            sink.write_some(std::span{kept_}.subspan(kept_from_), write_error);
        delivered_bytes_ += taken;
        kept_from_ += taken;
        if (write_error == asio::error::would_block)
            return step::blocked;
        if (write_error) {
            ec = write_error;
            return step::sink_failed;
        }
    }
    kept_ = {};
    kept_from_ = 0;
    return step::moved;
}

flow::step flow::drain_pipe(stream& sink, error_code& ec)
{
    const ssize_t size = ::splice(pipe_.exit.get(), nullptr, sink.native_handle(), nullptr,
                                  pipe_.held_bytes, splice_flags);
    if (size > 0) {
        pipe_.held_bytes -= static_cast<std::size_t>(size);
        delivered_bytes_ += static_cast<std::uint64_t>(size);
        return step::moved;
    }
    if (size < 0 && errno == EAGAIN)
        return step::blocked;
    if (size < 0 && refuses_splice(errno)) {
        splices_ = false;
        empty_pipe_into_kept();
        return drain_kept(sink, ec);
    }
    ec = splice_error(size < 0 ? errno : EPIPE);
    return step::sink_failed;
}

void flow::empty_pipe_into_kept()
{
    kept_.resize(pipe_.held_bytes);
    std::size_t filled = 0;
    while (filled < kept_.size()) {
        const ssize_t size = ::read(pipe_.exit.get(), kept_.data() + filled, kept_.size() - filled);
        if (size <= 0)
            break; // cannot be: the pipe holds that much
        filled += static_cast<std::size_t>(size);
    }
    kept_.resize(filled);
    pipe_.held_bytes = 0;
    return_pipe();
}

void flow::return_pipe() noexcept
{
    if (pipe_)
        pipes_->give_back(std::exchange(pipe_, {}));
}

} // namespace manypath
