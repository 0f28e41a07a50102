// handshake_watch.hpp: ends clients that take too long before anything is relayed.
//
// One list and the thread's tick instead of a timer per connection; a second more or less is
// nothing to a client that hangs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/transport/stream.hpp"

#include <chrono>
#include <list>

namespace manypath {

/// Not thread safe. Outlives its guards.
class handshake_watch {
    struct entry {
        stream* watched;
        std::chrono::steady_clock::time_point deadline;
    };
    using entries = std::list<entry>;

public:
    using clock = std::chrono::steady_clock;

    /// Watches as long as it lives.
    class guard {
    public:
        guard(entries& in, entries::iterator place) : in_(in), place_(place) {}
        guard(const guard&) = delete;
        guard& operator=(const guard&) = delete;
        ~guard() { in_.erase(place_); }

    private:
        entries& in_;
        entries::iterator place_;
    };

    [[nodiscard]] guard watch(stream& client, clock::time_point deadline)
    {
        return {entries_, entries_.insert(entries_.end(), {&client, deadline})};
    }

    /// Aborts the streams whose deadline has passed; whoever waits for them is told.
    void check(clock::time_point now)
    {
        for (const auto& [watched, deadline] : entries_) {
            if (now >= deadline)
                watched->abort();
        }
    }

private:
    entries entries_;
};

} // namespace manypath
