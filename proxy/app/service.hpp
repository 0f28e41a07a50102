// service.hpp: a listener as it is served: its configuration, its counters, its rules.
//
// A snapshot: a reload makes new services, while a connection keeps the one it began with. Only
// the counters live on, by the listener's name.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/acl/acl.hpp"
#include "proxy/app/accept_budget.hpp"
#include "proxy/config/config.hpp"

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace manypath {

struct listener_counters {
    std::atomic<std::uint64_t> accepted = 0;
    std::atomic<std::uint64_t> refused = 0;
    std::atomic<std::uint64_t> failed = 0;
    std::atomic<std::uint64_t> active = 0;
};

/// Shared by all threads, which change nothing but the counters.
struct service {
    config::listen listener; ///< dial is tcp where this host refuses MPTCP
    config::timeouts timeouts;
    std::shared_ptr<const own_listeners> own;
    std::shared_ptr<listener_counters> counters;
};

using service_list = std::vector<std::shared_ptr<const service>>;

/// @param before  of the configuration until now; empty at the start
/// @param mptcp   false: this host refuses MPTCP sockets
[[nodiscard]] service_list make_services(const config::configuration& from,
                                         const service_list& before, bool mptcp);

/// One connection's share of the budget and of its listener's counters.
class connection_share {
public:
    connection_share(accept_budget& budget, std::shared_ptr<const service> of);
    connection_share(connection_share&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)), of_(std::move(other.of_))
    {
    }
    connection_share& operator=(connection_share&&) = delete;
    ~connection_share();

    [[nodiscard]] const service& of() const noexcept { return *of_; }

private:
    accept_budget* budget_;
    std::shared_ptr<const service> of_;
};

} // namespace manypath
