// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/server.hpp"

#include "proxy/config/values.hpp"
#include "proxy/control/credentials.hpp"
#include "proxy/control/json.hpp"
#include "proxy/log/log.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>

namespace manypath::control {

namespace {

namespace json = boost::json;
using namespace boost::asio::experimental::awaitable_operators;

std::string result_line(json::value value)
{
    json::object reply;
    reply["result"] = std::move(value);
    return json::serialize(reply) + '\n';
}

std::string error_line(std::string_view sentence)
{
    json::object reply;
    reply["error"] = sentence;
    return json::serialize(reply) + '\n';
}

/// The result of `operation`, or timed_out where it takes too long.
asio::awaitable<std::size_t> in_time(asio::awaitable<std::size_t> operation,
                                     std::chrono::milliseconds limit, error_code& ec)
{
    asio::steady_timer timer{co_await asio::this_coro::executor, limit};
    error_code ignored;
    auto expiry = timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    const auto first = co_await (std::move(operation) || std::move(expiry));
    if (first.index() == 1) {
        ec = asio::error::timed_out;
        co_return 0;
    }
    co_return std::get<0>(first);
}

asio::awaitable<void> pause()
{
    constexpr std::chrono::milliseconds moment{100};
    asio::steady_timer timer{co_await asio::this_coro::executor, moment};
    co_await timer.async_wait(asio::use_awaitable);
}

/// Counts a client for as long as it is served.
class counted {
public:
    explicit counted(std::size_t& number) : number_(number) { ++number_; }
    counted(const counted&) = delete;
    counted& operator=(const counted&) = delete;
    ~counted() { --number_; }

private:
    std::size_t& number_;
};

} // namespace

server::server(asio::io_context& context, unique_fd socket, source& answers, server_limits limits)
    : acceptor_(context),
      answers_(answers),
      limits_(limits),
      group_(group_of_socket(socket.get())),
      tasks_(context)
{
    acceptor_.assign(asio::local::stream_protocol{}, socket.release());
}

void server::start()
{
    tasks_.spawn("control socket", accept_clients());
}

void server::stop()
{
    error_code ignored;
    acceptor_.close(ignored);
    tasks_.cancel();
}

asio::awaitable<void> server::accept_clients()
{
    while (acceptor_.is_open()) {
        error_code ec;
        auto client =
            co_await acceptor_.async_accept(asio::redirect_error(asio::use_awaitable, ec));
        if (ec == asio::error::operation_aborted)
            co_return;
        if (!ec)
            tasks_.spawn("control client", serve(std::move(client)));
        else if (acceptor_.is_open())
            co_await pause(); // out of descriptors; others free some
    }
}

std::optional<std::string> server::refusal(socket_type& client) const
{
    if (clients_ > limits_.clients)
        return "too many clients on the control socket; try again";
    const auto who = peer_of(client.native_handle());
    if (!who)
        return "the credentials of the client cannot be read: " + who.error().message();
    if (may_ask(*who, ::geteuid(), group_))
        return std::nullopt;
    return "permission denied for user id " + std::to_string(who->user) +
           "; allowed: root, the daemon's user and members of the socket's group";
}

asio::awaitable<void> server::serve(socket_type client)
{
    co_await asio::this_coro::throw_if_cancelled(false); // the end of the daemon is no failure
    const counted counting{clients_};
    error_code ec;
    if (const auto reason = refusal(client)) {
        log::debug("control socket: {}", *reason);
        const auto line = error_line(*reason);
        co_return co_await write(client, line, ec);
    }
    std::string buffer;
    while (acceptor_.is_open()) {
        auto reading =
            asio::async_read_until(client, asio::dynamic_buffer(buffer, limits_.request_bytes),
                                   '\n', asio::redirect_error(asio::use_awaitable, ec));
        const auto size = co_await in_time(std::move(reading), limits_.patience, ec);
        if (ec == asio::error::not_found) {
            const auto line = error_line("the request is longer than " +
                                         std::to_string(limits_.request_bytes) + " bytes");
            co_return co_await write(client, line, ec);
        }
        if (ec)
            co_return;
        const std::string reply = co_await answer(buffer.substr(0, size));
        buffer.erase(0, size);
        co_await write(client, reply, ec);
        if (ec)
            co_return;
    }
}

asio::awaitable<void> server::write(socket_type& client, const std::string& line, error_code& ec)
{
    auto writing = asio::async_write(client, asio::buffer(line),
                                     asio::redirect_error(asio::use_awaitable, ec));
    co_await in_time(std::move(writing), limits_.patience, ec);
}

asio::awaitable<std::string> server::answer(std::string request)
{
    error_code ec;
    const auto parsed = json::parse(request, ec);
    const auto* object = ec ? nullptr : parsed.if_object();
    const auto* command = object != nullptr ? object->if_contains("command") : nullptr;
    if (command == nullptr || !command->is_string())
        co_return error_line("the request is no JSON object with a \"command\"");
    std::string failure;
    try {
        co_return co_await run(std::string{command->as_string()});
    } catch (const std::exception& e) {
        failure = e.what();
    }
    log::error("control socket: {}", failure);
    co_return error_line("the daemon could not answer: " + failure);
}

asio::awaitable<std::string> server::run(std::string command)
{
    if (command == "status") {
        const auto state = co_await answers_.status();
        co_return result_line(to_json(state));
    }
    if (command == "connections") {
        const auto state = co_await answers_.connections();
        co_return result_line(to_json(state));
    }
    if (command == "paths") {
        const auto state = co_await answers_.paths();
        co_return result_line(to_json(state));
    }
    if (command == "reload") {
        const auto refused = co_await answers_.reload();
        co_return refused.empty() ? result_line("reloaded") : error_line(refused);
    }
    co_return error_line("unknown command " + config::quoted(command) +
                         "; allowed: status, connections, paths, reload");
}

} // namespace manypath::control
