// SPDX-License-Identifier: Apache-2.0
#include "proxy/modes/socks5.hpp"

#include "common/wire/socks5.hpp"
#include "proxy/modes/mode_error.hpp"
#include "proxy/transport/stream_io.hpp"

#include <algorithm>
#include <array>
#include <boost/asio/ip/address.hpp>
#include <boost/system/errc.hpp>
#include <utility>

namespace manypath {

namespace {

namespace wire = socks5;
using bytes = std::vector<std::byte>;

constexpr std::size_t read_bytes = 1024; // the longest message has 262

/// Reads until `parse` has a whole message, and takes that from the front of `arrived`.
/// @return the message, or why the bytes are none; `truncated` where the stream failed with `ec`
template <typename Message>
asio::awaitable<std::expected<Message, wire_error>>
read_message(stream& from, bytes& arrived, wire::parse_result<Message> (*parse)(byte_view),
             error_code& ec)
{
    ec.clear();
    for (;;) {
        auto result = parse(arrived);
        if (result) {
            const auto size = static_cast<std::ptrdiff_t>(result->size);
            arrived.erase(arrived.begin(), arrived.begin() + size);
            co_return std::move(result->message);
        }
        if (result.error() != wire_error::truncated)
            co_return std::unexpected{result.error()};
        std::array<std::byte, read_bytes> buffer;
        const std::size_t size = co_await read_some(from, buffer, ec);
        if (ec)
            co_return std::unexpected{wire_error::truncated};
        arrived.insert(arrived.end(), buffer.begin(),
                       buffer.begin() + static_cast<std::ptrdiff_t>(size));
    }
}

template <typename Message>
asio::awaitable<void> send(stream& to, Message message, error_code& ec)
{
    const bytes out = wire::emit(message);
    co_await write_all(to, out, ec);
}

/// Tells the client and the caller why there is no request.
asio::awaitable<void> refuse(stream& client, wire::reply_code code, mode_error why, error_code& ec)
{
    wire::reply message;
    message.code = code;
    co_await send(client, std::move(message), ec);
    if (!ec)
        ec = why;
}

/// Clients are known by their address alone. One that insists on giving a name and a password
/// (RFC 1929) is heard, and admitted whatever it says.
asio::awaitable<void> hear_password(stream& client, bytes& arrived, error_code& ec)
{
    const auto said =
        co_await read_message<wire::credentials>(client, arrived, wire::parse_credentials, ec);
    if (said)
        co_await send(client, wire::verdict{}, ec);
    else if (!ec)
        ec = mode_error::bad_request;
}

/// @return whether client and gateway agreed on a method
asio::awaitable<bool> agree_on_method(stream& client, bytes& arrived, error_code& ec)
{
    const auto hello =
        co_await read_message<wire::greeting>(client, arrived, wire::parse_greeting, ec);
    if (!hello) {
        if (!ec)
            ec = mode_error::bad_request;
        co_return false;
    }
    const auto offers = [&hello](wire::method m) {
        return std::find(hello->methods.begin(), hello->methods.end(), m) != hello->methods.end();
    };
    wire::choice answer{wire::method::no_acceptable};
    if (offers(wire::method::none))
        answer.chosen = wire::method::none;
    else if (offers(wire::method::password))
        answer.chosen = wire::method::password;
    co_await send(client, answer, ec);
    if (!ec && answer.chosen == wire::method::no_acceptable)
        ec = mode_error::no_common_method;
    if (!ec && answer.chosen == wire::method::password)
        co_await hear_password(client, arrived, ec);
    co_return !ec;
}

std::optional<destination> to_destination(const wire::request& asked)
{
    if (const auto* v4 = std::get_if<wire::ipv4_address>(&asked.to))
        return make_destination(asio::ip::address_v4{*v4}.to_string(), asked.port);
    if (const auto* v6 = std::get_if<wire::ipv6_address>(&asked.to))
        return make_destination(asio::ip::address_v6{*v6}.to_string(), asked.port);
    return make_destination(std::get<std::string>(asked.to), asked.port);
}

wire::reply_code to_reply_code(const error_code& dialled)
{
    namespace errc = boost::system::errc;
    if (!dialled)
        return wire::reply_code::succeeded;
    if (dialled == mode_error::own_address || dialled == errc::permission_denied ||
        dialled == errc::operation_not_permitted)
        return wire::reply_code::not_allowed;
    if (dialled == asio::error::network_unreachable || dialled == errc::network_down)
        return wire::reply_code::network_unreachable;
    if (dialled == asio::error::host_unreachable || dialled == asio::error::host_not_found ||
        dialled == asio::error::host_not_found_try_again || dialled == asio::error::timed_out)
        return wire::reply_code::host_unreachable;
    if (dialled == asio::error::connection_refused)
        return wire::reply_code::connection_refused;
    if (dialled == asio::error::address_family_not_supported)
        return wire::reply_code::address_type_not_supported;
    return wire::reply_code::general_failure;
}

wire::address to_wire(const asio::ip::address& address)
{
    if (address.is_v4())
        return address.to_v4().to_bytes();
    return address.to_v6().to_bytes();
}

} // namespace

asio::awaitable<request> socks5_mode::read_request(stream& client, error_code& ec)
{
    request asked;
    bytes arrived;
    if (!co_await agree_on_method(client, arrived, ec))
        co_return asked;
    const auto message =
        co_await read_message<wire::request>(client, arrived, wire::parse_request, ec);
    if (ec)
        co_return asked;
    auto code = wire::reply_code::general_failure;
    auto why = mode_error::bad_request;
    if (!message && message.error() == wire_error::bad_type)
        code = wire::reply_code::address_type_not_supported;
    if (message && message->what != wire::command::connect) {
        code = wire::reply_code::command_not_supported;
        why = mode_error::not_connect;
    }
    const auto to = message && message->what == wire::command::connect ? to_destination(*message)
                                                                       : std::nullopt;
    if (!to) {
        co_await refuse(client, code, why, ec);
        co_return asked;
    }
    asked.to = *to;
    asked.early = std::move(arrived);
    co_return asked;
}

asio::awaitable<void> socks5_mode::answer(stream& client, error_code dialled, endpoint bound,
                                          error_code& ec)
{
    const endpoint at = unmapped(bound);
    wire::reply message{to_reply_code(dialled), wire::ipv4_address{}, 0};
    if (!dialled) {
        message.bound = to_wire(at.address());
        message.port = at.port();
    }
    co_await send(client, std::move(message), ec);
}

} // namespace manypath
