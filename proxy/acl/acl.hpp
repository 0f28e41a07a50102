// acl.hpp: who may use a listener, and where it never leads.
//
// An open proxy is a bug: where clients name their destination themselves, only this host is
// served until the administrator says who else.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"

#include <chrono>
#include <mutex>
#include <vector>

namespace manypath {

/// @return whether the listener serves this client. Without `allow`, socks5 and http-connect
///         serve loopback addresses only, transparent and forward everybody.
[[nodiscard]] bool admits(const config::listen& listener, const asio::ip::address& client);

/// The gateway's own listeners, so that it never connects to itself. Thread safe.
class own_listeners {
public:
    explicit own_listeners(const std::vector<config::listen>& all);

    /// @return whether a connection to this address would arrive at one of the listeners. Where
    ///         a listener has the port on every address, that takes the system's addresses, which
    ///         are at most a second old.
    [[nodiscard]] bool include(const endpoint& to) const;

private:
    [[nodiscard]] bool is_of_this_host(const asio::ip::address& address) const;

    std::vector<endpoint> addresses_;
    mutable std::mutex mutex_; ///< for the two below
    mutable std::vector<asio::ip::address> host_;
    mutable std::chrono::steady_clock::time_point host_until_;
};

} // namespace manypath
