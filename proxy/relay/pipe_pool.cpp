// SPDX-License-Identifier: Apache-2.0
#include "proxy/relay/pipe_pool.hpp"

#include <csignal>
#include <fcntl.h>
#include <utility>

namespace manypath {

namespace {

/// Kept for the next transfer; more would only hold memory after a peak.
constexpr std::size_t most_idle = 16;

splice_pipe open_pipe() noexcept
{
    int ends[2];
    if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        return {};
    splice_pipe made{.exit = unique_fd{ends[0]}, .entry = unique_fd{ends[1]}};
    // A pipe beyond the user's share of pages has one or two of them and is slower than copying.
    if (::fcntl(ends[1], F_SETPIPE_SZ, static_cast<int>(pipe_pool::pipe_bytes)) < 0)
        return {};
    return made;
}

} // namespace

pipe_pool::pipe_pool(std::size_t most)
    : most_(most), scratch_(std::make_unique_for_overwrite<std::byte[]>(scratch_bytes))
{
    idle_.reserve(most_idle);
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
}

splice_pipe pipe_pool::take() noexcept
{
    splice_pipe taken;
    if (!idle_.empty()) {
        taken = std::move(idle_.back());
        idle_.pop_back();
    } else if (lent_ < most_) {
        taken = open_pipe();
    }
    if (taken)
        ++lent_;
    return taken;
}

void pipe_pool::give_back(splice_pipe pipe) noexcept
{
    --lent_;
    if (pipe.held_bytes == 0 && idle_.size() < most_idle)
        idle_.push_back(std::move(pipe));
}

} // namespace manypath
