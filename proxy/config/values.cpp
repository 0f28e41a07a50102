// SPDX-License-Identifier: Apache-2.0
#include "proxy/config/values.hpp"

#include <algorithm>
#include <charconv>
#include <net/if.h>
#include <sys/un.h>

namespace manypath::config {

namespace {

constexpr std::size_t name_length = 32;
constexpr std::size_t label_length = 63; // RFC 1035, section 2.3.4
constexpr std::size_t domain_length = 253;

constexpr bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

constexpr bool is_alphanumeric(char c) noexcept
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

std::unexpected<std::string> wrong(std::string_view text, std::string_view what)
{
    return std::unexpected{quoted(text) + ' ' + std::string{what}};
}

std::optional<unsigned> parse_number(std::string_view text, unsigned most)
{
    unsigned number = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (ec != std::errc{} || end != text.data() + text.size() || number > most)
        return std::nullopt;
    return number;
}

std::optional<std::uint16_t> parse_port(std::string_view text)
{
    const auto number = parse_number(text, 65535);
    if (!number || *number == 0)
        return std::nullopt;
    return static_cast<std::uint16_t>(*number);
}

parsed<asio::ip::address> parse_address(std::string_view text)
{
    if (text.find('%') != text.npos)
        return wrong(text, "names an interface behind the %");
    error_code ec;
    auto address = asio::ip::make_address(text, ec);
    if (ec)
        return wrong(text, "is no IP address");
    if (address.is_v6() && address.to_v6().is_v4_mapped())
        return wrong(text, "is an IPv4 address in IPv6 notation");
    return address;
}

bool is_link_local(const asio::ip::address& a)
{
    return a.is_v6() && a.to_v6().is_link_local();
}

bool is_broadcast(const asio::ip::address& a)
{
    return a.is_v4() && a.to_v4() == asio::ip::address_v4::broadcast();
}

/// The zero bits behind `length` of an address in network order.
template <typename Bytes>
bool has_host_bits(const Bytes& bytes, unsigned length)
{
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        const unsigned first = static_cast<unsigned>(i) * 8;
        const unsigned kept = std::clamp(length, first, first + 8) - first;
        if ((bytes[i] & (0xffU >> kept)) != 0)
            return true;
    }
    return false;
}

struct host_and_port {
    std::string_view host; ///< without brackets
    std::uint16_t port = 0;
    bool bracketed = false;
};

parsed<host_and_port> split(std::string_view text)
{
    const auto colon = text.rfind(':');
    if (colon == text.npos)
        return wrong(text, "has no port");
    if (colon == 0)
        return wrong(text, "has no address");
    auto host = text.substr(0, colon);
    const bool bracketed = host.front() == '[' && host.back() == ']';
    if (bracketed)
        host = host.substr(1, host.size() - 2);
    else if (host.find(':') != host.npos)
        return wrong(text, "is IPv6 without brackets or has no port");
    const auto port = parse_port(text.substr(colon + 1));
    if (!port)
        return wrong(text, "has a port that is no number from 1 to 65535");
    return host_and_port{host, *port, bracketed};
}

bool is_label(std::string_view label)
{
    const auto allowed = [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; };
    return !label.empty() && label.size() <= label_length && label.front() != '-' &&
           label.back() != '-' && std::ranges::all_of(label, allowed);
}

/// A name whose last label is a number would be a mistyped IPv4 address (RFC 3696, section 2).
bool is_domain(std::string_view name)
{
    if (name.ends_with('.'))
        name.remove_suffix(1);
    if (name.size() > domain_length)
        return false;
    for (auto dot = name.find('.'); dot != name.npos; dot = name.find('.')) {
        if (!is_label(name.substr(0, dot)))
            return false;
        name.remove_prefix(dot + 1);
    }
    return is_label(name) && !std::ranges::all_of(name, is_digit);
}

} // namespace

std::string printable(std::string_view text)
{
    constexpr std::size_t longest = 80;
    std::string out{text.substr(0, longest)};
    const auto is_control = [](char c) { return (c >= 0 && c < ' ') || c == '\x7f'; };
    std::ranges::replace_if(out, is_control, '?');
    return text.size() > longest ? out + "..." : out;
}

std::string quoted(std::string_view text)
{
    return '"' + printable(text) + '"';
}

parsed<std::string> parse_name(std::string_view text)
{
    const auto allowed = [](char c) {
        return is_alphanumeric(c) || c == '-' || c == '_' || c == '.';
    };
    if (text.empty())
        return std::unexpected{"is empty"};
    if (text.size() > name_length)
        return wrong(text, "is too long");
    if (!std::ranges::all_of(text, allowed))
        return wrong(text, "has other characters");
    return std::string{text};
}

parsed<std::string> parse_interface(std::string_view text)
{
    // The kernel would take a quotation mark, but nft could not write the name.
    const auto allowed = [](char c) {
        return c > ' ' && c != '/' && c != ':' && c != '"' && c != '\x7f';
    };
    if (text.empty())
        return std::unexpected{"is empty"};
    if (text.size() >= IFNAMSIZ)
        return wrong(text, "is too long");
    if (text == "." || text == ".." || !std::ranges::all_of(text, allowed))
        return wrong(text, "is no name that the kernel gives an interface");
    return std::string{text};
}

parsed<std::string> parse_socket_path(std::string_view text)
{
    if (!text.starts_with('/'))
        return wrong(text, "is no absolute path");
    if (text.size() >= sizeof(sockaddr_un::sun_path))
        return wrong(text, "is too long");
    if (text.ends_with('/') || text.find('\0') != text.npos)
        return wrong(text, "names no file");
    return std::string{text};
}

parsed<asio::ip::address> parse_path_address(std::string_view text)
{
    const auto address = parse_address(text);
    if (!address)
        return address;
    if (address->is_unspecified() || address->is_loopback() || address->is_multicast() ||
        is_link_local(*address) || is_broadcast(*address))
        return wrong(text, "is no address that other hosts can reach");
    return address;
}

parsed<asio::ip::address> parse_gateway(std::string_view text)
{
    const auto address = parse_address(text);
    if (!address)
        return address;
    if (address->is_unspecified() || address->is_loopback() || address->is_multicast() ||
        is_broadcast(*address))
        return wrong(text, "is no router's address");
    return address;
}

parsed<prefix> parse_prefix(std::string_view text)
{
    const auto slash = text.find('/');
    const auto address = parse_address(text.substr(0, slash));
    if (!address)
        return std::unexpected{address.error()};
    const unsigned most = address->is_v4() ? 32 : 128;
    const auto length =
        slash == text.npos ? std::optional{most} : parse_number(text.substr(slash + 1), most);
    if (!length)
        return wrong(text, "has a length that is no number from 0 to " + std::to_string(most));
    const bool extra = address->is_v4() ? has_host_bits(address->to_v4().to_bytes(), *length)
                                        : has_host_bits(address->to_v6().to_bytes(), *length);
    if (extra)
        return wrong(text, "has bits set behind its length");
    return prefix{*address, *length};
}

parsed<port_range> parse_ports(std::string_view text)
{
    const auto dash = text.find('-');
    const auto first = parse_port(text.substr(0, dash));
    const auto last = dash == text.npos ? first : parse_port(text.substr(dash + 1));
    if (!first || !last)
        return wrong(text, "is neither a port nor a range of ports");
    if (*first > *last)
        return wrong(text, "ends before it begins");
    return port_range{*first, *last};
}

parsed<endpoint> parse_endpoint(std::string_view text)
{
    const auto parts = split(text);
    if (!parts)
        return std::unexpected{parts.error()};
    const auto address = parse_address(parts->host);
    if (!address)
        return std::unexpected{address.error()};
    if (parts->bracketed != address->is_v6())
        return wrong(text, "has brackets, which are for IPv6");
    if (address->is_multicast() || is_broadcast(*address) || is_link_local(*address))
        return wrong(text, "is multicast, broadcast or link-local");
    return endpoint{*address, parts->port};
}

parsed<destination> parse_destination(std::string_view text)
{
    const auto parts = split(text);
    if (!parts)
        return std::unexpected{parts.error()};
    if (!parts->bracketed && is_domain(parts->host))
        return host_port{std::string{parts->host}, parts->port};
    const auto address = parse_endpoint(text);
    if (!address)
        return std::unexpected{address.error()};
    if (address->address().is_unspecified())
        return wrong(text, "is the wildcard address");
    return *address;
}

} // namespace manypath::config
