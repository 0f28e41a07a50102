// destination.hpp: where a client wants to go.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/asio.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace manypath {

struct host_port {
    std::string host; ///< a DNS name
    std::uint16_t port = 0;
    bool operator==(const host_port&) const = default;
};

using destination = std::variant<endpoint, host_port>;

/// "198.18.0.1:80", "[2001:db8::1]:80" or "name:80".
[[nodiscard]] std::string to_string(const destination& to);
[[nodiscard]] std::string to_string(const endpoint& to);

/// What a peer named: an address in text form becomes an endpoint, everything else a name.
/// @param host  an IPv6 address stands without brackets
/// @return nothing if no such destination can exist: port 0, or a name which is empty, longer
///         than 253 bytes or not made of printable ASCII
[[nodiscard]] std::optional<destination> make_destination(std::string_view host,
                                                          std::uint16_t port);

/// The IPv4 form of an IPv4-mapped IPv6 address (::ffff:198.18.0.1); any other one unchanged.
[[nodiscard]] asio::ip::address unmapped(const asio::ip::address& address);
[[nodiscard]] endpoint unmapped(const endpoint& at);

} // namespace manypath
