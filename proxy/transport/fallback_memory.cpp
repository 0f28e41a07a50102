// SPDX-License-Identifier: Apache-2.0
#include "proxy/transport/fallback_memory.hpp"

#include <algorithm>

namespace manypath {

namespace {

using std::chrono::minutes;

fallback_memory::clock::duration stay(fallback_reason why, unsigned times)
{
    const bool unanswered = why == fallback_reason::unanswered;
    const minutes first = unanswered ? minutes{10} : minutes{1};
    const minutes longest = unanswered ? minutes{24 * 60} : minutes{60};
    const unsigned doublings = std::min(times, 10U); // 2^10 exceeds both limits
    return std::min(first * (1 << doublings), longest);
}

} // namespace

bool fallback_memory::prefers_tcp(const endpoint& to, clock::time_point now)
{
    const std::lock_guard lock{mutex_};
    const auto found = index_.find(to);
    if (found == index_.end())
        return false;
    entries_.splice(entries_.begin(), entries_, found->second);
    return now < found->second->until;
}

void fallback_memory::remember(const endpoint& to, fallback_reason why, clock::time_point now)
{
    const std::lock_guard lock{mutex_};
    const auto found = index_.find(to);
    if (found == index_.end()) {
        if (index_.size() >= capacity_) {
            index_.erase(entries_.back().to);
            entries_.pop_back();
        }
        entries_.push_front({to, now + stay(why, 0), 1});
        index_.emplace(to, entries_.begin());
        return;
    }
    entry& known = *found->second;
    entries_.splice(entries_.begin(), entries_, found->second);
    // Connections that were dialled side by side report the same event: it counts once.
    if (now < known.until)
        return;
    known.until = now + stay(why, known.times++);
}

void fallback_memory::forget(const endpoint& to)
{
    const std::lock_guard lock{mutex_};
    const auto found = index_.find(to);
    if (found == index_.end())
        return;
    entries_.erase(found->second);
    index_.erase(found);
}

std::size_t fallback_memory::size(clock::time_point now) const
{
    const std::lock_guard lock{mutex_};
    const auto in_force = [now](const entry& e) { return now < e.until; };
    return static_cast<std::size_t>(std::count_if(entries_.begin(), entries_.end(), in_force));
}

} // namespace manypath
