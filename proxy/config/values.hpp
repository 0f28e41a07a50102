// values.hpp: the texts of a configuration file as values.
//
// Knows nothing of TOML and asks nothing of the system: each function says what is wrong with one
// text, and the caller adds where it stands and what is allowed.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"

#include <array>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

namespace manypath::config {

/// The value, or what is wrong, such as `has host bits set behind the /24`.
template <typename T>
using parsed = std::expected<T, std::string>;

/// `text` on one line without control characters, cut where long; for messages.
[[nodiscard]] std::string printable(std::string_view text);
/// The same in double quotes.
[[nodiscard]] std::string quoted(std::string_view text);

/// 1 to 32 letters, digits, `-`, `_` and `.`; it stands in logs and tables.
[[nodiscard]] parsed<std::string> parse_name(std::string_view text);
/// What the kernel takes as the name of a network interface.
[[nodiscard]] parsed<std::string> parse_interface(std::string_view text);
/// An absolute path that fits into sockaddr_un.
[[nodiscard]] parsed<std::string> parse_socket_path(std::string_view text);

/// An address that a path can send from: neither loopback, multicast nor link-local.
[[nodiscard]] parsed<asio::ip::address> parse_path_address(std::string_view text);
/// A router's unicast address; IPv6 may be link-local.
[[nodiscard]] parsed<asio::ip::address> parse_gateway(std::string_view text);
[[nodiscard]] parsed<prefix> parse_prefix(std::string_view text);
/// "80" or "8000-8100", 1 to 65535.
[[nodiscard]] parsed<port_range> parse_ports(std::string_view text);

/// "198.18.0.1:80" or "[2001:db8::1]:80"; the wildcard address is allowed.
[[nodiscard]] parsed<endpoint> parse_endpoint(std::string_view text);
/// As parse_endpoint without the wildcard, or "name:80".
[[nodiscard]] parsed<destination> parse_destination(std::string_view text);

/// One allowed word of a key; without a value where this version cannot serve it.
template <typename E>
struct choice {
    std::string_view name;
    std::optional<E> value;
};

inline constexpr std::array<choice<backend_choice>, 3> backends = {{
    {"auto", backend_choice::automatic},
    {"kernel", backend_choice::kernel},
    {"engine", std::nullopt},
}};
inline constexpr std::array<choice<listen_mode>, 5> listen_modes = {{
    {"transparent", listen_mode::transparent},
    {"forward", listen_mode::forward},
    {"socks5", listen_mode::socks5},
    {"http-connect", listen_mode::http_connect},
    {"convert", std::nullopt},
}};
inline constexpr std::array<choice<protocol>, 2> protocols = {{
    {"tcp", protocol::tcp},
    {"mptcp", protocol::mptcp},
}};
inline constexpr std::array<choice<attachment>, 3> attachments = {{
    {"tun", attachment::tun},
    {"tap-bpf", attachment::tap_bpf},
    {"auto", attachment::automatic},
}};

/// @return the word for `value`, empty where there is none
template <typename E, std::size_t Size>
[[nodiscard]] constexpr std::string_view word_for(const std::array<choice<E>, Size>& choices,
                                                  E value) noexcept
{
    for (const auto& c : choices)
        if (c.value == value)
            return c.name;
    return {};
}

} // namespace manypath::config
