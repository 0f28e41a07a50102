// server.hpp: answers requests on the control socket.
//
// One request per line, one line as reply; see manypathctl(1). A client can be slow or hostile and
// costs no more than a bounded buffer for a bounded time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/asio.hpp"
#include "proxy/async/task_group.hpp"
#include "proxy/async/unique_fd.hpp"
#include "proxy/control/state.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>

namespace manypath::control {

struct server_limits {
    std::size_t request_bytes = 4096; ///< with the newline; requests are about 30 bytes long
    std::size_t clients = 16;         ///< at a time; people and monitoring, not load
    std::chrono::milliseconds patience{10000}; ///< for one request to arrive, and for one reply to
                                               ///< be taken
};

/// Lives on the thread that runs `context`, and at least until stop() has taken effect there.
class server {
public:
    /// @param socket   Unix stream socket in the listening state
    /// @param answers  outlives the server
    server(asio::io_context& context, unique_fd socket, source& answers, server_limits limits = {});
    server(const server&) = delete;
    server& operator=(const server&) = delete;

    void start();

    /// Closes the listening socket and ends every client.
    void stop();

private:
    using socket_type = asio::local::stream_protocol::socket;

    asio::awaitable<void> accept_clients();
    asio::awaitable<void> serve(socket_type client);
    asio::awaitable<std::string> answer(std::string request);
    asio::awaitable<std::string> run(std::string command);
    asio::awaitable<void> write(socket_type& client, const std::string& line, error_code& ec);
    [[nodiscard]] std::optional<std::string> refusal(socket_type& client) const;

    asio::local::stream_protocol::acceptor acceptor_;
    source& answers_;
    server_limits limits_;
    std::optional<gid_t> group_;
    std::size_t clients_ = 0;
    task_group tasks_;
};

} // namespace manypath::control
