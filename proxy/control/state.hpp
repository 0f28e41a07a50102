// state.hpp: what the control socket can be asked, as values.
//
// The daemon fills them in, the control server writes them as JSON, manypathctl prints them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"
#include "proxy/transport/connection_info.hpp"

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace manypath::control {

struct listener_state {
    std::string name;
    config::listen_mode mode{};
    std::vector<endpoint> addresses;
    protocol accept{};
    protocol dial{};
    std::uint64_t accepted = 0; ///< since the start
    std::uint64_t refused = 0;  ///< by the access list or for a bad request
    std::uint64_t failed = 0;   ///< the server could not be reached
    std::uint64_t active = 0;
};

struct daemon_state {
    std::string version;
    std::string backend; ///< "kernel", or "tcp" where MPTCP is refused
    std::string file;    ///< configuration file
    std::chrono::seconds uptime{};
    unsigned threads = 0;
    std::uint64_t connections = 0;         ///< now
    std::uint64_t connections_maximum = 0; ///< what the descriptor limit carries
    bool accepting = true;                 ///< false while draining or out of descriptors
    std::uint64_t fallbacks_remembered = 0;
    std::vector<listener_state> listeners;
};

struct connection_state {
    std::string listener;
    endpoint client;
    std::string to; ///< as asked: address or name, with port
    connection_info client_side;
    connection_info server_side;
    std::uint64_t bytes_to_server = 0;
    std::uint64_t bytes_to_client = 0;
    std::chrono::seconds age{};
};

struct path_state {
    std::string name;
    std::string interface;
    bool up = false; ///< the interface exists, is up and has one of the path's addresses
    std::vector<asio::ip::address> addresses;
    config::path_flags flags;
    std::uint64_t subflows = 0; ///< of connections alive now
    std::uint64_t sent_bytes = 0;
    std::uint64_t received_bytes = 0;
};

/// Answers come from the daemon's threads, so they are awaited.
class source {
public:
    virtual ~source() = default;
    virtual asio::awaitable<daemon_state> status() = 0;
    virtual asio::awaitable<std::vector<connection_state>> connections() = 0;
    virtual asio::awaitable<std::vector<path_state>> paths() = 0;
    /// @return empty when the new configuration is in force, else why it was refused
    virtual asio::awaitable<std::string> reload() = 0;

protected:
    source() = default;
    source(const source&) = default;
    source& operator=(const source&) = default;
};

} // namespace manypath::control
