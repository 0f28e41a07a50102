// SPDX-License-Identifier: Apache-2.0
#include "common/wire/socks5.hpp"

#include <optional>
#include <utility>

namespace manypath::socks5 {

namespace {

constexpr std::uint8_t version = 5;
constexpr std::uint8_t password_version = 1; // of the exchange itself, RFC 1929
constexpr std::size_t longest_text = 255;
constexpr std::size_t longest_message = 3 + 2 * longest_text; // credentials

enum class address_type : std::uint8_t { ipv4 = 1, name = 3, ipv6 = 4 };

/// The checks that all messages share, in the order in which bytes arrive.
template <typename Message>
parse_result<Message> finish(byte_view in, const reader& at, Message message)
{
    if (!at.ok())
        return std::unexpected{wire_error::truncated};
    return parsed<Message>{std::move(message), in.size() - at.rest().size()};
}

/// @return the first byte's verdict; nothing if it is right or has not arrived
std::optional<wire_error> check_version(byte_view in, std::uint8_t wanted)
{
    if (!in.empty() && std::to_integer<std::uint8_t>(in.front()) != wanted)
        return wire_error::bad_version;
    return std::nullopt;
}

template <std::size_t Size>
std::array<std::uint8_t, Size> read_array(reader& in)
{
    std::array<std::uint8_t, Size> out{};
    for (auto& byte : out)
        byte = in.read<std::uint8_t>();
    return out;
}

/// A length byte and as many bytes; fails where the length byte has arrived and is zero.
std::expected<std::string, wire_error> read_text(reader& in)
{
    const auto size = in.read<std::uint8_t>();
    if (in.ok() && size == 0)
        return std::unexpected{wire_error::bad_length};
    std::string text;
    for (const std::byte b : in.take(size))
        text.push_back(static_cast<char>(b));
    return text;
}

std::expected<address, wire_error> read_address(reader& in)
{
    const auto type = in.read<std::uint8_t>();
    if (!in.ok())
        return std::unexpected{wire_error::truncated};
    switch (static_cast<address_type>(type)) {
    case address_type::ipv4:
        return read_array<4>(in);
    case address_type::ipv6:
        return read_array<16>(in);
    case address_type::name:
        return read_text(in);
    }
    return std::unexpected{wire_error::bad_type};
}

/// Request and reply have one form: version, code, reserved, address, port.
template <typename Message, typename Code>
parse_result<Message> parse_addressed(byte_view in)
{
    if (const auto wrong = check_version(in, version))
        return std::unexpected{*wrong};
    reader at{in};
    (void)at.read<std::uint8_t>();
    const auto code = static_cast<Code>(at.read<std::uint8_t>());
    (void)at.read<std::uint8_t>(); // reserved: some clients leave it unset
    auto where = read_address(at);
    if (!where)
        return std::unexpected{where.error()};
    const auto port = at.read<std::uint16_t>();
    return finish(in, at, Message{code, std::move(*where), port});
}

class message_buffer {
public:
    message_buffer() = default;
    message_buffer(const message_buffer&) = delete;
    message_buffer& operator=(const message_buffer&) = delete;

    message_buffer& number(std::unsigned_integral auto value)
    {
        out_.write(value);
        return *this;
    }
    message_buffer& text(const std::string& text)
    {
        const std::string cut = text.substr(0, longest_text);
        out_.write(static_cast<std::uint8_t>(cut.size()));
        out_.write_bytes(std::as_bytes(std::span{cut}));
        return *this;
    }
    message_buffer& where(const address& a)
    {
        if (const auto* name = std::get_if<std::string>(&a))
            return type(address_type::name).text(*name);
        if (const auto* v4 = std::get_if<ipv4_address>(&a))
            return type(address_type::ipv4).bytes(*v4);
        return type(address_type::ipv6).bytes(std::get<ipv6_address>(a));
    }
    [[nodiscard]] std::vector<std::byte> take() const
    {
        const auto end = bytes_.begin() + static_cast<std::ptrdiff_t>(out_.size());
        return {bytes_.begin(), end};
    }

private:
    message_buffer& type(address_type t) { return number(std::to_underlying(t)); }
    message_buffer& bytes(std::span<const std::uint8_t> b)
    {
        out_.write_bytes(std::as_bytes(b));
        return *this;
    }

    std::array<std::byte, longest_message> bytes_{};
    writer out_{bytes_};
};

} // namespace

parse_result<greeting> parse_greeting(byte_view in)
{
    if (const auto wrong = check_version(in, version))
        return std::unexpected{*wrong};
    reader at{in};
    (void)at.read<std::uint8_t>();
    const auto methods = read_text(at);
    if (!methods)
        return std::unexpected{methods.error()};
    greeting message;
    for (const char m : *methods)
        message.methods.push_back(static_cast<method>(m));
    return finish(in, at, std::move(message));
}

parse_result<choice> parse_choice(byte_view in)
{
    if (const auto wrong = check_version(in, version))
        return std::unexpected{*wrong};
    reader at{in};
    (void)at.read<std::uint8_t>();
    const choice message{static_cast<method>(at.read<std::uint8_t>())};
    return finish(in, at, message);
}

parse_result<credentials> parse_credentials(byte_view in)
{
    if (const auto wrong = check_version(in, password_version))
        return std::unexpected{*wrong};
    reader at{in};
    (void)at.read<std::uint8_t>();
    auto user = read_text(at);
    if (!user)
        return std::unexpected{user.error()};
    auto password = read_text(at);
    if (!password)
        return std::unexpected{password.error()};
    return finish(in, at, credentials{std::move(*user), std::move(*password)});
}

parse_result<verdict> parse_verdict(byte_view in)
{
    if (const auto wrong = check_version(in, password_version))
        return std::unexpected{*wrong};
    reader at{in};
    (void)at.read<std::uint8_t>();
    const verdict message{at.read<std::uint8_t>()};
    return finish(in, at, message);
}

parse_result<request> parse_request(byte_view in)
{
    return parse_addressed<request, command>(in);
}

parse_result<reply> parse_reply(byte_view in)
{
    return parse_addressed<reply, reply_code>(in);
}

std::vector<std::byte> emit(const greeting& m)
{
    std::string methods;
    for (const method each : m.methods)
        methods.push_back(static_cast<char>(each));
    return message_buffer{}.number(version).text(methods).take();
}

std::vector<std::byte> emit(const choice& m)
{
    return message_buffer{}.number(version).number(std::to_underlying(m.chosen)).take();
}

std::vector<std::byte> emit(const credentials& m)
{
    return message_buffer{}.number(password_version).text(m.user).text(m.password).take();
}

std::vector<std::byte> emit(const verdict& m)
{
    return message_buffer{}.number(password_version).number(m.status).take();
}

std::vector<std::byte> emit(const request& m)
{
    message_buffer out;
    out.number(version).number(std::to_underlying(m.what)).number(std::uint8_t{0});
    return out.where(m.to).number(m.port).take();
}

std::vector<std::byte> emit(const reply& m)
{
    message_buffer out;
    out.number(version).number(std::to_underlying(m.code)).number(std::uint8_t{0});
    return out.where(m.bound).number(m.port).take();
}

} // namespace manypath::socks5
