// SPDX-License-Identifier: Apache-2.0
#include "proxy/modes/http_connect.hpp"

#include "proxy/modes/mode_error.hpp"
#include "proxy/transport/stream_io.hpp"

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/system/errc.hpp>
#include <charconv>
#include <string_view>

namespace manypath {

namespace {

namespace http = boost::beast::http;
using parser = http::request_parser<http::empty_body>;

constexpr std::uint32_t longest_head_bytes = 8192;
constexpr std::size_t read_bytes = 4096;

constexpr std::string_view established = "HTTP/1.1 200 Connection established\r\n\r\n";

/// A whole response, after which the gateway closes the connection.
std::string refusal(std::string_view status, std::string_view more_fields = {})
{
    std::string text{"HTTP/1.1 "};
    text.append(status).append("\r\nContent-Length: 0\r\nConnection: close\r\n");
    return text.append(more_fields).append("\r\n");
}

asio::awaitable<void> send(stream& to, std::string_view text, error_code& ec)
{
    co_await write_all(to, std::as_bytes(std::span{text}), ec);
}

/// Reads up to the end of the head.
/// @param behind  gets what the client sent behind it
/// @param ec      the stream's error, or Beast's if the bytes are no head of a request
asio::awaitable<void> read_head(stream& client, parser& head, std::vector<std::byte>& behind,
                                error_code& ec)
{
    std::array<std::byte, read_bytes> buffer;
    while (!head.is_header_done()) {
        const std::size_t size = co_await read_some(client, buffer, ec);
        if (ec)
            co_return;
        behind.insert(behind.end(), buffer.begin(),
                      buffer.begin() + static_cast<std::ptrdiff_t>(size));
        const std::size_t used = head.put(asio::buffer(behind.data(), behind.size()), ec);
        behind.erase(behind.begin(), behind.begin() + static_cast<std::ptrdiff_t>(used));
        if (ec == http::error::need_more)
            ec.clear();
        if (ec)
            co_return;
        if (!head.is_header_done() && behind.size() > longest_head_bytes) {
            ec = http::error::header_limit;
            co_return;
        }
    }
}

/// The authority form of a request target, "host:port" or "[v6]:port" (RFC 9112, section 3.2.3).
std::optional<destination> parse_authority(std::string_view target)
{
    const auto colon = target.rfind(':');
    if (colon == std::string_view::npos)
        return std::nullopt;
    std::string_view host = target.substr(0, colon);
    const std::string digits{target.substr(colon + 1)};
    std::uint16_t port = 0;
    const char* const end = digits.data() + digits.size();
    const auto [stop, failed] = std::from_chars(digits.data(), end, port);
    if (failed != std::errc{} || stop != end)
        return std::nullopt;
    const bool brackets = host.starts_with('[');
    if (brackets != host.ends_with(']') || brackets != host.contains(':'))
        return std::nullopt;
    if (brackets)
        host = host.substr(1, host.size() - 2);
    auto to = make_destination(host, port);
    if (to && brackets && !std::holds_alternative<endpoint>(*to))
        return std::nullopt;
    return to;
}

std::string_view failure_status(const error_code& dialled)
{
    namespace errc = boost::system::errc;
    if (dialled == asio::error::timed_out)
        return "504 Gateway Timeout";
    if (dialled == mode_error::own_address || dialled == errc::permission_denied ||
        dialled == errc::operation_not_permitted)
        return "403 Forbidden";
    return "502 Bad Gateway";
}

} // namespace

asio::awaitable<request> http_connect_mode::read_request(stream& client, error_code& ec)
{
    parser head;
    head.header_limit(longest_head_bytes);
    request asked;
    co_await read_head(client, head, asked.early, ec);
    const bool is_head = !ec;
    if (ec && ec.category() != http::make_error_code(http::error::need_more).category())
        co_return asked; // the stream's error: nobody is left to be told
    const bool is_connect = is_head && head.get().method() == http::verb::connect;
    if (is_connect) {
        if (auto to = parse_authority(head.get().target())) {
            asked.to = std::move(*to);
            co_return asked;
        }
    }
    std::string response = refusal("400 Bad Request");
    auto why = mode_error::bad_request;
    if (ec == http::error::header_limit) {
        response = refusal("431 Request Header Fields Too Large");
        why = mode_error::request_too_long;
    } else if (is_head && !is_connect) {
        response = refusal("405 Method Not Allowed", "Allow: CONNECT\r\n");
        why = mode_error::not_connect;
    }
    ec = why;
    error_code gone;
    co_await send(client, response, gone);
    co_return asked;
}

asio::awaitable<void> http_connect_mode::answer(stream& client, error_code dialled, endpoint,
                                                error_code& ec)
{
    const std::string response =
        dialled ? refusal(failure_status(dialled)) : std::string{established};
    co_await send(client, response, ec);
}

} // namespace manypath
