// SPDX-License-Identifier: Apache-2.0
#include "proxy/app/session.hpp"

#include "proxy/app/connection_log.hpp"
#include "proxy/modes/mode_error.hpp"
#include "proxy/transport/stream_io.hpp"

#include <boost/asio/this_coro.hpp>
#include <boost/system/errc.hpp>
#include <utility>

namespace manypath {

namespace {

using clock = std::chrono::steady_clock;

/// For each of: the client's request, our answer and the goodbye. RFC 1928 wants a refused
/// client's connection closed within ten seconds.
constexpr std::chrono::seconds exchange_limit{10};

/// What a refused client may still send before it is cut off.
constexpr std::size_t goodbye_bytes = 256 * 1024;

asio::awaitable<void> part_from(handshake_watch& handshakes, std::unique_ptr<stream> client)
{
    const auto limit = handshakes.watch(*client, clock::now() + exchange_limit);
    co_await say_goodbye(*client, goodbye_bytes);
}

/// Connects to where the client wants, unless that is this gateway.
asio::awaitable<std::unique_ptr<stream>> dial(dialer& dials, const connection& about,
                                              error_code& ec)
{
    const service& by = about.share.of();
    if (const auto* at = std::get_if<endpoint>(&about.to); at && by.own->include(*at)) {
        ec = mode_error::own_address;
        co_return nullptr;
    }
    dial_options options{.speak = by.listener.dial, .source = {}, .limit = by.timeouts.connect};
    if (by.listener.preserve_source)
        options.source = about.client.address();
    auto server = co_await dials.dial(about.to, options, ec);
    if (server && by.own->include(server->remote())) { // a name led here
        server->abort();
        server.reset();
        ec = mode_error::own_address;
    }
    co_return server;
}

} // namespace

asio::awaitable<void> run_session(session_parts parts, std::shared_ptr<mode> speaks,
                                  connection_share share, std::unique_ptr<stream> client)
{
    co_await asio::this_coro::throw_if_cancelled(false);
    const endpoint from = unmapped(client->remote());
    connection about{std::move(share), from, {}, {}, clock::now()};
    const service& by = about.share.of();
    error_code ec;
    if (!admits(by.listener, from.address())) {
        client->abort();
        ++by.counters->refused;
        ec = boost::system::errc::make_error_code(boost::system::errc::permission_denied);
        log_end(about, "refused", ec, clock::now());
        co_return;
    }

    request asked;
    {
        const auto limit = parts.handshakes.watch(*client, clock::now() + exchange_limit);
        asked = co_await speaks->read_request(*client, ec);
    }
    if (ec) {
        ++by.counters->refused;
        log_end(about, "no-request", ec, clock::now());
        co_await part_from(parts.handshakes, std::move(client));
        co_return;
    }

    about.to = std::move(asked.to);
    auto server = co_await dial(parts.dials, about, ec);
    if (server)
        about.server = unmapped(server->remote());
    const error_code dialled = std::exchange(ec, {});
    const endpoint bound = server ? server->local() : endpoint{};
    {
        const auto limit = parts.handshakes.watch(*client, clock::now() + exchange_limit);
        co_await speaks->answer(*client, dialled, bound, ec);
    }
    if (dialled) {
        ++by.counters->failed;
        log_end(about, "unreachable", dialled, clock::now());
        co_await part_from(parts.handshakes, std::move(client));
        co_return;
    }
    if (ec) {
        server->abort();
        log_end(about, "reset-by-client", ec, clock::now());
        co_return;
    }
    parts.connections.add(std::move(about), std::move(client), std::move(server),
                          std::move(asked.early));
}

} // namespace manypath
