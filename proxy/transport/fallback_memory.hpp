// fallback_memory.hpp: which destinations are better dialled with plain TCP.
//
// Our own memory per destination, because the kernel's verdict of a blackhole is one for the
// whole network namespace and lasts for hours. An entry that proves right again lasts longer.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/asio.hpp"

#include <chrono>
#include <cstdint>
#include <list>
#include <mutex>
#include <unordered_map>

namespace manypath {

enum class fallback_reason : std::uint8_t {
    unanswered, ///< MPTCP was lost or reset on the way where TCP was answered
    fell_back,  ///< the server answered the MPTCP request with plain TCP
};

/// Thread safe; shared by the threads of the worker, and outlives reloads.
class fallback_memory {
public:
    using clock = std::chrono::steady_clock;

    /// @param capacity  entries; the one not used for the longest time makes room
    explicit fallback_memory(std::size_t capacity = 4096) : capacity_(capacity) {}

    [[nodiscard]] bool prefers_tcp(const endpoint& to, clock::time_point now);

    /// Keeps the destination on TCP: after `unanswered` for 10 minutes at first and a day at
    /// most, after `fell_back`, which costs a client next to nothing, for 1 minute to 1 hour.
    void remember(const endpoint& to, fallback_reason why, clock::time_point now);

    /// MPTCP worked.
    void forget(const endpoint& to);

    /// Entries that are in force.
    [[nodiscard]] std::size_t size(clock::time_point now) const;

private:
    struct entry {
        endpoint to;
        clock::time_point until;
        unsigned times = 0; ///< how often it was remembered; doubles the stay
    };
    using order = std::list<entry>; ///< most recently used first

    mutable std::mutex mutex_;
    std::size_t capacity_;
    order entries_;
    std::unordered_map<endpoint, order::iterator> index_;
};

} // namespace manypath
