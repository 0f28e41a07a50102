// SPDX-License-Identifier: Apache-2.0
#include "proxy/transport/destination.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

namespace manypath {

namespace {

constexpr std::size_t longest_name_bytes = 253; // RFC 1035, section 2.3.4, in text form

bool is_name(std::string_view host)
{
    const auto graphic = [](char c) { return c > ' ' && c < 0x7f; };
    return !host.empty() && host.size() <= longest_name_bytes &&
           std::all_of(host.begin(), host.end(), graphic);
}

} // namespace

asio::ip::address unmapped(const asio::ip::address& address)
{
    if (address.is_v6() && address.to_v6().is_v4_mapped())
        return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
    return address;
}

endpoint unmapped(const endpoint& at)
{
    return {unmapped(at.address()), at.port()};
}

std::string to_string(const endpoint& to)
{
    const auto address = unmapped(to.address());
    const std::string port = std::to_string(to.port());
    return address.is_v6() ? '[' + address.to_string() + "]:" + port
                           : address.to_string() + ':' + port;
}

std::string to_string(const destination& to)
{
    if (const auto* at = std::get_if<endpoint>(&to))
        return to_string(*at);
    const auto& named = std::get<host_port>(to);
    return named.host + ':' + std::to_string(named.port);
}

std::optional<destination> make_destination(std::string_view host, std::uint16_t port)
{
    if (port == 0 || !is_name(host))
        return std::nullopt;
    const std::string text{host};
    error_code ec;
    const auto address = asio::ip::make_address(text, ec);
    if (!ec)
        return endpoint{unmapped(address), port};
    return host_port{text, port};
}

} // namespace manypath
