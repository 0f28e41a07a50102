// accept_budget.hpp: how many connections the descriptor limit carries, and when to accept.
//
// Accepting stops before descriptors run out, because a gateway that accepts and then cannot
// dial is worse than a full backlog; it resumes a little below the limit, so that it does not
// flutter. Both are said, but under lasting overload not more often than every ten seconds.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>

namespace manypath {

/// @param descriptors  the soft limit of the process
/// @return connections: two descriptors each; a fifth of the limit is left for the pipes that
///         carry data at the moment, listeners and the log
[[nodiscard]] constexpr std::uint64_t connections_carried_by(std::uint64_t descriptors) noexcept
{
    return (descriptors - descriptors / 5) / 2;
}

/// Raises the soft limit of open descriptors to the hard one.
/// @return the soft limit now
std::uint64_t raise_descriptor_limit();

/// Thread safe; one for all threads.
class accept_budget {
public:
    using clock = std::chrono::steady_clock;

    explicit accept_budget(std::uint64_t maximum) noexcept : maximum_(maximum) {}

    /// Where it says no, ask again at releases and about every second: descriptors that other
    /// processes hold come back without notice.
    [[nodiscard]] bool may_accept(clock::time_point now);

    /// The system refused a descriptor although the budget had room.
    void ran_out(clock::time_point now);

    void take();
    void give_back() noexcept { --in_use_; }

    [[nodiscard]] std::uint64_t in_use() const noexcept { return in_use_; }
    [[nodiscard]] std::uint64_t maximum() const noexcept { return maximum_; }
    [[nodiscard]] bool accepting() const noexcept { return state_ == state::open; }

private:
    enum class state : std::uint8_t {
        open,
        full,      ///< until in_use_ is low enough
        exhausted, ///< until retry_at_
        probing,   ///< one more try after `exhausted`
    };

    const std::uint64_t maximum_;
    std::atomic<std::uint64_t> in_use_ = 0;
    std::atomic<state> state_ = state::open;
    std::mutex mutex_; ///< for every change of state_
    clock::time_point retry_at_;
    clock::time_point quiet_until_ = clock::time_point::min();
    bool said_full_ = false; ///< so the end of it is said as well
};

} // namespace manypath
