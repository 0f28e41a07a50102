// listeners.hpp: the listening sockets of the gateway.
//
// A listener that a reload keeps keeps its sockets, and with them the connections that wait in
// their backlogs.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"
#include "proxy/keeper/channel.hpp"

#include <expected>
#include <memory>
#include <string>
#include <vector>

namespace manypath::keeper {

/// What makes two listening sockets interchangeable.
struct listening_place {
    endpoint at;
    protocol accept = protocol::tcp; ///< what the socket is: tcp also where MPTCP is refused
    bool transparent = false;
    bool operator==(const listening_place&) const = default;
};

/// One SO_REUSEPORT group, a socket for each thread. All of one protocol: in a mixed group MPTCP
/// clients would become TCP at random.
struct listening_group {
    listening_place place;
    std::vector<unique_fd> sockets;
};

class listener_set {
public:
    /// Opens what `c` asks for and shares with `running` what that has already.
    /// @param mptcp  false: listeners with accept = "mptcp" take plain TCP
    /// @return which listener and address cannot be had, why, and what to do
    [[nodiscard]] static std::expected<listener_set, std::string>
    open(const config::configuration& c, unsigned threads, bool mptcp, const listener_set& running);

    /// Duplicates for the worker.
    [[nodiscard]] std::expected<std::vector<listener_socket>, std::string> duplicates() const;

    [[nodiscard]] std::size_t size() const noexcept { return entries_.size(); } ///< addresses

private:
    struct entry {
        std::uint32_t listener = 0;
        std::shared_ptr<const listening_group> group;
    };
    [[nodiscard]] std::shared_ptr<const listening_group> find(const listening_place& p) const;
    [[nodiscard]] bool uses_port(std::uint16_t port) const;

    std::vector<entry> entries_;
};

} // namespace manypath::keeper
