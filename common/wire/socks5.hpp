// socks5.hpp: the messages of SOCKS version 5 (RFC 1928) and its password exchange (RFC 1929).
//
// A parser is given what has arrived so far. A prefix of a message is wire_error::truncated, so
// the caller reads more and asks again; bytes behind the message are left to the caller.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/base/bytes.hpp"
#include "common/wire/wire_error.hpp"

#include <array>
#include <expected>
#include <string>
#include <variant>
#include <vector>

namespace manypath::socks5 {

enum class method : std::uint8_t { none = 0, gssapi = 1, password = 2, no_acceptable = 0xff };
enum class command : std::uint8_t { connect = 1, bind = 2, udp_associate = 3 };

enum class reply_code : std::uint8_t {
    succeeded = 0,
    general_failure,
    not_allowed,
    network_unreachable,
    host_unreachable,
    connection_refused,
    ttl_expired,
    command_not_supported,
    address_type_not_supported,
};

/// Client: the methods it can authenticate with, 1 to 255 of them, in its order.
struct greeting {
    std::vector<method> methods;
    bool operator==(const greeting&) const = default;
};

/// Server: the method both use from here on.
struct choice {
    method chosen = method::none;
    bool operator==(const choice&) const = default;
};

/// Client: RFC 1929; both are 1 to 255 bytes.
struct credentials {
    std::string user;
    std::string password;
    bool operator==(const credentials&) const = default;
};

/// Server: RFC 1929; 0 admits the client.
struct verdict {
    std::uint8_t status = 0;
    bool operator==(const verdict&) const = default;
};

using ipv4_address = std::array<std::uint8_t, 4>;
using ipv6_address = std::array<std::uint8_t, 16>;
using address = std::variant<ipv4_address, ipv6_address, std::string>; ///< name: 1 to 255 bytes

/// Client. Holds commands that RFC 1928 does not define as they came.
struct request {
    command what = command::connect;
    address to;
    std::uint16_t port = 0;
    bool operator==(const request&) const = default;
};

/// Server; after a success, `bound` is where the connection to the destination comes from.
struct reply {
    reply_code code = reply_code::succeeded;
    address bound = ipv4_address{};
    std::uint16_t port = 0;
    bool operator==(const reply&) const = default;
};

template <typename Message>
struct parsed {
    Message message;
    std::size_t size = 0; ///< bytes of the input that the message took
};

template <typename Message>
using parse_result = std::expected<parsed<Message>, wire_error>;

/// @return bad_version; bad_length without any method or with an empty text; bad_type for an
///         unknown type of address
[[nodiscard]] parse_result<greeting> parse_greeting(byte_view in);
[[nodiscard]] parse_result<choice> parse_choice(byte_view in);
[[nodiscard]] parse_result<credentials> parse_credentials(byte_view in);
[[nodiscard]] parse_result<verdict> parse_verdict(byte_view in);
[[nodiscard]] parse_result<request> parse_request(byte_view in);
[[nodiscard]] parse_result<reply> parse_reply(byte_view in);

/// Counts and texts beyond 255 are cut there.
[[nodiscard]] std::vector<std::byte> emit(const greeting& m);
[[nodiscard]] std::vector<std::byte> emit(const choice& m);
[[nodiscard]] std::vector<std::byte> emit(const credentials& m);
[[nodiscard]] std::vector<std::byte> emit(const verdict& m);
[[nodiscard]] std::vector<std::byte> emit(const request& m);
[[nodiscard]] std::vector<std::byte> emit(const reply& m);

} // namespace manypath::socks5
