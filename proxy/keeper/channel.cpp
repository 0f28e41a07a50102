// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/channel.hpp"

#include "proxy/keeper/frame.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <sys/socket.h>

namespace manypath::keeper {

namespace {

// The first byte of every frame.
enum class tag : std::uint8_t {
    configure = 1, ///< configure_header, and the control socket as its descriptor
    text,          ///< a piece of the file's name and of the configuration behind it
    listeners,     ///< listener_header[], each with one descriptor
    drain,
    serving,
    refused, ///< the reason as text
    reload_wish,
    reloaded ///< the failure as text
};

struct configure_header {
    std::uint32_t threads;
    std::uint32_t file_bytes;
    std::uint32_t text_bytes;
    std::uint32_t listeners;
};

struct listener_header {
    std::uint32_t listener;
    std::uint32_t thread;
};

// A reason longer than this says nothing more to a reader of the log.
constexpr std::size_t reason_bytes = 4096;

std::vector<std::byte> begin(tag t)
{
    return {static_cast<std::byte>(t)};
}

void append(std::vector<std::byte>& out, std::string_view text)
{
    const auto bytes = std::as_bytes(std::span{text});
    out.insert(out.end(), bytes.begin(), bytes.end());
}

std::vector<std::byte> with_reason(tag t, std::string_view reason)
{
    auto out = begin(t);
    append(out, reason.substr(0, reason_bytes));
    return out;
}

/// @return what stands behind the tag; nothing if it is another tag
std::optional<std::span<const std::byte>> body(const frame& f, tag expected)
{
    if (f.bytes.front() != static_cast<std::byte>(expected))
        return std::nullopt;
    return std::span{f.bytes}.subspan(1);
}

std::string to_text(std::span<const std::byte> bytes)
{
    std::string text(bytes.size(), '\0');
    std::ranges::transform(bytes, text.begin(), [](std::byte b) { return static_cast<char>(b); });
    return text;
}

/// What a worker says ends up in the log and in a message to systemd, where a further line would be
/// taken for the keeper's own.
std::string one_line(std::span<const std::byte> bytes)
{
    std::string text = to_text(bytes.first(std::min(bytes.size(), reason_bytes)));
    const auto is_control = [](unsigned char c) { return c < ' ' || c == 0x7f; };
    std::ranges::replace_if(text, is_control, '?');
    return text;
}

std::unexpected<std::error_code> bad_message()
{
    return std::unexpected{std::make_error_code(std::errc::bad_message)};
}

std::error_code send_text(int socket, std::string_view text)
{
    while (!text.empty()) {
        const std::string_view piece = text.substr(0, frame_bytes - 1);
        auto out = begin(tag::text);
        append(out, piece);
        if (const auto failed = send_frame(socket, out, {}))
            return failed;
        text.remove_prefix(piece.size());
    }
    return {};
}

std::error_code send_listeners(int socket, std::span<const listener_socket> all)
{
    while (!all.empty()) {
        const auto some = all.first(std::min(all.size(), frame_descriptors));
        auto out = begin(tag::listeners);
        std::vector<int> descriptors;
        for (const listener_socket& l : some) {
            put(out, listener_header{.listener = l.listener, .thread = l.thread});
            descriptors.push_back(l.socket.get());
        }
        if (const auto failed = send_frame(socket, out, descriptors))
            return failed;
        all = all.subspan(some.size());
    }
    return {};
}

std::expected<std::string, std::error_code> receive_text(int socket, std::size_t size)
{
    std::string text;
    while (text.size() < size) {
        const auto next = receive_frame(socket);
        if (!next)
            return std::unexpected{next.error()};
        const auto piece = body(*next, tag::text);
        if (!piece || piece->empty())
            return bad_message();
        text += to_text(*piece);
    }
    if (text.size() != size)
        return bad_message();
    return text;
}

/// A listener whose descriptor was lost stands in the result without a socket, so that the channel
/// is at the beginning of a message afterwards.
std::expected<std::vector<listener_socket>, std::error_code> receive_listeners(int socket,
                                                                               std::size_t count)
{
    std::vector<listener_socket> all;
    while (all.size() < count) {
        auto next = receive_frame(socket);
        if (!next)
            return std::unexpected{next.error()};
        auto rest = body(*next, tag::listeners);
        const std::size_t here = rest ? rest->size() / sizeof(listener_header) : 0;
        const std::size_t come = next->descriptors.size();
        if (here == 0 || come > here || (come < here && !next->lost_descriptors))
            return bad_message();
        next->descriptors.resize(here);
        for (unique_fd& fd : next->descriptors) {
            const auto header = *take<listener_header>(*rest);
            all.push_back({header.listener, header.thread, std::move(fd)});
        }
    }
    if (all.size() != count)
        return bad_message();
    return all;
}

} // namespace

std::expected<std::pair<channel, channel>, std::error_code> channel::make_pair()
{
    std::array<int, 2> ends{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) < 0)
        return std::unexpected{std::error_code{errno, std::generic_category()}};
    return std::pair{channel{unique_fd{ends[0]}}, channel{unique_fd{ends[1]}}};
}

std::error_code channel::send_configure(const configure& c)
{
    auto out = begin(tag::configure);
    put(out, configure_header{.threads = c.threads,
                              .file_bytes = static_cast<std::uint32_t>(c.file.size()),
                              .text_bytes = static_cast<std::uint32_t>(c.text.size()),
                              .listeners = static_cast<std::uint32_t>(c.listeners.size())});
    std::vector<int> control;
    if (c.control)
        control.push_back(c.control.get());
    if (const auto failed = send_frame(socket_.get(), out, control))
        return failed;
    if (const auto failed = send_text(socket_.get(), c.file + c.text))
        return failed;
    return send_listeners(socket_.get(), c.listeners);
}

std::expected<configure, std::error_code> channel::receive_configure(frame first)
{
    auto rest = *body(first, tag::configure);
    const auto header = take<configure_header>(rest);
    if (!header || first.descriptors.size() > 1)
        return bad_message();
    auto text = receive_text(socket_.get(), std::size_t{header->file_bytes} + header->text_bytes);
    if (!text)
        return std::unexpected{text.error()};
    auto listeners = receive_listeners(socket_.get(), header->listeners);
    if (!listeners)
        return std::unexpected{listeners.error()};
    const auto has_none = [](const listener_socket& l) { return !l.socket; };
    if (first.lost_descriptors || std::ranges::any_of(*listeners, has_none))
        return std::unexpected{std::make_error_code(std::errc::too_many_files_open)};
    configure c;
    c.file = text->substr(0, header->file_bytes);
    c.text = text->substr(header->file_bytes);
    c.threads = header->threads;
    c.listeners = std::move(*listeners);
    if (!first.descriptors.empty())
        c.control = std::move(first.descriptors.front());
    return c;
}

std::error_code channel::send(const order& o)
{
    if (const auto* c = std::get_if<configure>(&o))
        return send_configure(*c);
    if (const auto* r = std::get_if<reloaded>(&o))
        return send_frame(socket_.get(), with_reason(tag::reloaded, r->failure), {});
    return send_frame(socket_.get(), begin(tag::drain), {});
}

std::error_code channel::send(const report& r)
{
    if (const auto* why = std::get_if<refused>(&r))
        return send_frame(socket_.get(), with_reason(tag::refused, why->reason), {});
    const bool serves = std::holds_alternative<serving>(r);
    return send_frame(socket_.get(), begin(serves ? tag::serving : tag::reload_wish), {});
}

std::expected<order, std::error_code> channel::receive_order()
{
    auto first = receive_frame(socket_.get());
    if (!first)
        return std::unexpected{first.error()};
    if (body(*first, tag::drain))
        return order{drain{}};
    if (const auto failure = body(*first, tag::reloaded))
        return order{reloaded{to_text(*failure)}};
    if (!body(*first, tag::configure))
        return bad_message();
    auto c = receive_configure(std::move(*first));
    if (!c)
        return std::unexpected{c.error()};
    return order{std::move(*c)};
}

std::expected<report, std::error_code> channel::receive_report()
{
    const auto next = receive_frame(socket_.get());
    if (!next)
        return std::unexpected{next.error()};
    if (body(*next, tag::serving))
        return report{serving{}};
    if (body(*next, tag::reload_wish))
        return report{reload_wish{}};
    if (const auto reason = body(*next, tag::refused))
        return report{refused{one_line(*reason)}};
    return bad_message();
}

} // namespace manypath::keeper
