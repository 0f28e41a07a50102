// config.hpp: the gateway's configuration as values, after validation.
//
// Field for field the schema of manypathd.toml(5); defaults stand here and nowhere else.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/transport/connection_info.hpp"
#include "proxy/transport/destination.hpp"

#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace manypath::config {

enum class backend_choice : std::uint8_t { automatic, kernel, engine };
enum class listen_mode : std::uint8_t { transparent, forward, socks5, http_connect };
enum class attachment : std::uint8_t { tun, tap_bpf, automatic };

/// As written in the file: "transparent", "http-connect", "mptcp", ...
[[nodiscard]] std::string_view name_of(listen_mode m) noexcept;
[[nodiscard]] std::string_view name_of(protocol p) noexcept;

/// An address block, "198.18.0.0/15" or a single address.
struct prefix {
    asio::ip::address address; ///< host bits are zero
    unsigned length = 0;       ///< 0 to 32, or to 128
    /// An IPv4 address that a dual-stack socket shows as ::ffff:a.b.c.d counts as IPv4.
    [[nodiscard]] bool contains(const asio::ip::address& a) const;
    bool operator==(const prefix&) const = default;
};

struct port_range {
    std::uint16_t first = 0;
    std::uint16_t last = 0; ///< included
    bool operator==(const port_range&) const = default;
};

struct path_flags {
    bool subflow = false;
    bool signal = false;
    bool backup = false;
    bool fullmesh = false;
    bool operator==(const path_flags&) const = default;
};

/// One uplink.
struct path {
    std::string name;
    std::string interface;
    std::vector<asio::ip::address> addresses; ///< empty: every global address of the interface
    std::vector<asio::ip::address> gateways;  ///< empty: the interface's default routes
    path_flags flags{.subflow = true, .signal = false, .backup = false, .fullmesh = false};
    bool operator==(const path&) const = default;
};

/// What the keeper's nft rules catch for a transparent listener.
struct intercept {
    std::vector<std::string> interfaces;
    std::vector<port_range> ports; ///< without overlaps
    std::vector<prefix> except;    ///< destinations; without overlaps
    bool operator==(const intercept&) const = default;
};

struct listen {
    std::string name;
    listen_mode mode = listen_mode::forward;
    std::vector<endpoint> addresses;
    protocol accept = protocol::tcp;
    protocol dial = protocol::mptcp;
    std::optional<destination> to; ///< forward only
    std::optional<config::intercept> intercept;
    bool rules = true;
    bool preserve_source = false;
    std::vector<prefix> allow; ///< empty: see acl
    bool operator==(const listen&) const = default;
};

struct timeouts {
    std::chrono::seconds connect{15};
    std::chrono::seconds idle{3600};
    std::chrono::seconds half_close{60};
    std::chrono::seconds drain{30};
    bool operator==(const timeouts&) const = default;
};

struct engine {
    attachment attach = attachment::tun;
    bool operator==(const engine&) const = default;
};

struct control {
    std::string socket = "/run/manypath/control.sock";
    bool operator==(const control&) const = default;
};

struct configuration {
    backend_choice backend = backend_choice::automatic;
    std::vector<path> paths;
    std::vector<listen> listeners;
    config::timeouts timeouts;
    config::engine engine;
    config::control control;
    bool operator==(const configuration&) const = default;
};

} // namespace manypath::config
