// SPDX-License-Identifier: Apache-2.0
#include "proxy/app/accept_budget.hpp"

#include "proxy/log/log.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/resource.h>
#include <system_error>

namespace manypath {

namespace {

constexpr std::chrono::seconds retry_after{1};
constexpr std::chrono::seconds quiet_time{10};

/// Below the maximum by a thirty-second, so that pauses last for more than one connection.
std::uint64_t resume_mark(std::uint64_t maximum)
{
    return maximum - std::max<std::uint64_t>(1, maximum / 32);
}

} // namespace

std::uint64_t raise_descriptor_limit()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0)
        throw std::system_error{errno, std::generic_category(), "getrlimit(RLIMIT_NOFILE)"};
    const rlimit wanted{limit.rlim_max, limit.rlim_max};
    if (::setrlimit(RLIMIT_NOFILE, &wanted) == 0)
        return wanted.rlim_cur;
    log::warning("the limit of open descriptors stays at {}: {}", limit.rlim_cur,
                 std::generic_category().message(errno));
    return limit.rlim_cur;
}

bool accept_budget::may_accept(clock::time_point now)
{
    if (state_ == state::open && in_use_ < maximum_)
        return true;
    const std::lock_guard lock{mutex_};
    switch (state_.load()) {
    case state::open:
        if (in_use_ < maximum_)
            return true;
        state_ = state::full;
        said_full_ = now >= quiet_until_;
        if (said_full_)
            log::warning("{} connections are what the descriptor limit carries; accepting stops",
                         maximum_);
        return false;
    case state::full:
        if (in_use_ > resume_mark(maximum_))
            return false;
        state_ = state::open;
        if (said_full_) {
            log::info("{} connections left; accepting again", in_use_.load());
            quiet_until_ = now + quiet_time;
        }
        return true;
    case state::exhausted:
        if (now < retry_at_)
            return false;
        state_ = state::probing;
        return true;
    case state::probing:
        break;
    }
    return in_use_ < maximum_;
}

void accept_budget::ran_out(clock::time_point now)
{
    const std::lock_guard lock{mutex_};
    if (state_ != state::exhausted && state_ != state::probing)
        log::warning("no descriptors left with {} connections; accepting stops", in_use_.load());
    state_ = state::exhausted;
    retry_at_ = now + retry_after;
}

void accept_budget::take()
{
    ++in_use_;
    if (state_ != state::probing)
        return;
    const std::lock_guard lock{mutex_};
    if (state_ != state::probing)
        return;
    state_ = state::open;
    log::info("descriptors are back; accepting again");
}

} // namespace manypath
