// destination.hpp: where a client wants to go.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/asio.hpp"

#include <cstdint>
#include <string>
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

} // namespace manypath
