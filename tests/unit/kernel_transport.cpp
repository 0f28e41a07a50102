// SPDX-License-Identifier: Apache-2.0
#include "proxy/async/task_group.hpp"
#include "proxy/kernel/kernel_backend.hpp"
#include "tests/support/loopback.hpp"

#include <array>
#include <boost/asio/post.hpp>
#include <catch2/catch.hpp>
#include <chrono>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

using namespace manypath;
using namespace std::chrono_literals;

namespace {

/// One thread's event loop with a back end, a listener and what both ends became.
struct fixture {
    explicit fixture(protocol listens, int family = AF_INET)
        : listening(test::listen_on_loopback(listens, family))
    {
        listener = sockets->make_acceptor(unique_fd{::dup(listening.get())});
    }

    void accept() { tasks.spawn("accept", accept_one()); }
    void connect(endpoint to, connect_options options)
    {
        tasks.spawn("connect", connect_one(to, options));
    }
    /// Runs the loop until `done` or ten seconds are over.
    template <typename Condition>
    bool run_until(Condition done)
    {
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (!done() && std::chrono::steady_clock::now() < deadline) {
            context.restart();
            context.run_one_for(100ms);
        }
        return done();
    }

    asio::io_context context{1};
    task_group tasks{context};
    std::unique_ptr<backend> sockets = kernel::make_backend(context);
    unique_fd listening;
    std::unique_ptr<acceptor> listener;
    std::unique_ptr<stream> client;
    std::unique_ptr<stream> server;
    error_code connect_error;
    error_code accept_error;
    bool connect_ended = false;
    bool accept_ended = false;

private:
    asio::awaitable<void> accept_one()
    {
        server = co_await listener->accept(accept_error);
        accept_ended = true;
    }
    asio::awaitable<void> connect_one(endpoint to, connect_options options)
    {
        client = co_await sockets->dials().connect(to, options, connect_error);
        connect_ended = true;
    }
};

int option(const stream& s, int level, int name)
{
    int value = -1;
    socklen_t size = sizeof value;
    REQUIRE(::getsockopt(s.native_handle(), level, name, &value, &size) == 0);
    return value;
}

} // namespace

TEST_CASE("both ends of a connection know each other, the protocol, and do not delay", "[kernel]")
{
    const auto speak = GENERATE(protocol::tcp, protocol::mptcp);
    const auto family = GENERATE(AF_INET, AF_INET6);
    fixture f{speak, family};
    f.accept();
    f.connect(f.listener->local(), {.speak = speak, .source = std::nullopt});
    REQUIRE(f.run_until([&] { return f.client && f.server; }));
    CHECK(f.client->local() == f.server->remote());
    CHECK(f.client->remote() == f.server->local());
    for (const auto* s : {f.client.get(), f.server.get()}) {
        CHECK(s->info().asked == speak);
        CHECK(s->info().negotiated == speak);
        CHECK(s->info().subflows.size() == (speak == protocol::mptcp ? 1 : 0));
        CHECK(option(*s, IPPROTO_TCP, TCP_NODELAY) == 1);
    }
}

TEST_CASE("a TCP client of an MPTCP listener is seen as TCP and does not delay", "[kernel]")
{
    fixture f{protocol::mptcp};
    f.accept();
    f.connect(f.listener->local(), {.speak = protocol::tcp, .source = std::nullopt});
    REQUIRE(f.run_until([&] { return f.client && f.server; }));
    CHECK(f.server->info().asked == protocol::tcp);
    CHECK(f.server->info().negotiated == protocol::tcp);
    CHECK(option(*f.server, IPPROTO_TCP, TCP_NODELAY) == 1);
}

TEST_CASE("a fallback towards a TCP server shows in the stream's info", "[kernel]")
{
    fixture f{protocol::tcp};
    f.accept();
    f.connect(f.listener->local(), {.speak = protocol::mptcp, .source = std::nullopt});
    REQUIRE(f.run_until([&] { return f.client && f.server; }));
    CHECK(f.client->info().asked == protocol::mptcp);
    CHECK(f.client->info().negotiated == protocol::tcp);
}

TEST_CASE("a connection comes from the source it was given", "[kernel]")
{
    const auto speak = GENERATE(protocol::tcp, protocol::mptcp);
    fixture f{speak};
    const endpoint source{asio::ip::make_address("127.1.2.3"), 0};
    f.accept();
    f.connect(f.listener->local(), {.speak = speak, .source = source});
    REQUIRE(f.run_until([&] { return f.client && f.server; }));
    CHECK(f.server->remote().address() == source.address());
}

TEST_CASE("a refused connection reports the refusal", "[kernel]")
{
    const auto speak = GENERATE(protocol::tcp, protocol::mptcp);
    fixture f{speak};
    const endpoint closed = f.listener->local();
    f.listener->close();
    f.listening.reset();
    f.connect(closed, {.speak = speak, .source = std::nullopt});
    REQUIRE(f.run_until([&] { return f.connect_ended; }));
    CHECK_FALSE(f.client);
    CHECK(f.connect_error == asio::error::connection_refused);
}

// Goal: a cancelled attempt leaves nothing behind. Method: the backlog is full, so that the
// attempt hangs; after the cancellation its descriptor is free again.
TEST_CASE("cancelling a connect drops the attempt", "[kernel]")
{
    fixture f{protocol::tcp};
    REQUIRE(::listen(f.listening.get(), 0) == 0);
    const auto full = test::fill_backlog(f.listening.get());
    const int next = ::dup(0);
    ::close(next);
    f.connect(f.listener->local(), {.speak = protocol::tcp, .source = std::nullopt});
    f.context.poll();
    REQUIRE_FALSE(f.connect_ended);
    REQUIRE(::fcntl(next, F_GETFD) >= 0);
    f.tasks.cancel();
    REQUIRE(f.run_until([&] { return f.tasks.size() == 0; }));
    CHECK(f.connect_error == asio::error::operation_aborted);
    CHECK(::fcntl(next, F_GETFD) == -1);
}

TEST_CASE("closing an acceptor ends the accept that waits", "[kernel]")
{
    fixture f{protocol::tcp};
    f.accept();
    f.context.poll();
    REQUIRE_FALSE(f.accept_ended);
    f.listener->close();
    REQUIRE(f.run_until([&] { return f.accept_ended; }));
    CHECK(f.accept_error == asio::error::operation_aborted);
}

// Goal: running out of descriptors loses no connection. Method: lower the limit to what is open.
TEST_CASE("an acceptor without descriptors says so and takes the connection later", "[kernel]")
{
    fixture f{protocol::tcp};
    const auto client = test::connect_to(f.listening.get(), protocol::tcp);
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const int next = ::dup(0);
    ::close(next);
    const rlimit none{.rlim_cur = static_cast<rlim_t>(next), .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    f.accept();
    const bool ended = f.run_until([&] { return f.accept_ended; });
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
    REQUIRE(ended);
    CHECK(f.accept_error == asio::error::no_descriptors);
    f.accept();
    REQUIRE(f.run_until([&] { return f.server != nullptr; }));
    CHECK_FALSE(f.accept_error);
}

// Goal: a flood of connections leaves the thread's other work its turn. Method: one task accepts
// from a backlog that never empties, another one counts.
TEST_CASE("accepting from a long backlog does not starve the loop", "[kernel]")
{
    fixture f{protocol::tcp};
    std::vector<unique_fd> clients;
    for (int i = 0; i < 100; ++i)
        clients.push_back(test::connect_to(f.listening.get(), protocol::tcp));
    unsigned accepted = 0;
    unsigned accepted_at_first_turn = 0;
    const auto accept_all = [](fixture& all, unsigned& count) -> asio::awaitable<void> {
        error_code ec;
        while (!ec && ++count < 100)
            static_cast<void>(co_await all.listener->accept(ec));
    };
    f.tasks.spawn("accept all", accept_all(f, accepted));
    asio::post(f.context, [&] { accepted_at_first_turn = accepted; });
    REQUIRE(f.run_until([&] { return accepted == 100; }));
    f.run_until([&] { return f.tasks.size() == 0; });
    CHECK(accepted_at_first_turn < 100);
}

TEST_CASE("aborting one end resets the other", "[kernel]")
{
    const auto speak = GENERATE(protocol::tcp, protocol::mptcp);
    fixture f{speak};
    f.accept();
    f.connect(f.listener->local(), {.speak = speak, .source = std::nullopt});
    REQUIRE(f.run_until([&] { return f.client && f.server; }));
    error_code hung_up;
    f.server->async_wait(readiness::hang_up, [&](error_code ec) { hung_up = ec; });
    f.client->abort();
    REQUIRE(f.run_until([&] { return hung_up.failed(); }));
    CHECK(hung_up == asio::error::connection_reset);
    std::array<std::byte, 8> buffer{};
    error_code ec;
    CHECK(f.server->read_some(buffer, ec) == 0);
    CHECK(ec == asio::error::connection_reset);
}

TEST_CASE("closing a stream ends its waits", "[kernel]")
{
    fixture f{protocol::tcp};
    f.accept();
    f.connect(f.listener->local(), {.speak = protocol::tcp, .source = std::nullopt});
    REQUIRE(f.run_until([&] { return f.client && f.server; }));
    error_code readable;
    error_code hung_up;
    f.server->async_wait(readiness::readable, [&](error_code ec) { readable = ec; });
    f.server->async_wait(readiness::hang_up, [&](error_code ec) { hung_up = ec; });
    f.server->close();
    REQUIRE(f.run_until([&] { return readable.failed() && hung_up.failed(); }));
    CHECK(readable == asio::error::operation_aborted);
    CHECK(hung_up == asio::error::operation_aborted);
}

// Goal: urgent data, which looks like an error to epoll, does not look like a reset.
TEST_CASE("urgent data is no hang-up", "[kernel]")
{
    fixture f{protocol::tcp};
    f.accept();
    f.connect(f.listener->local(), {.speak = protocol::tcp, .source = std::nullopt});
    REQUIRE(f.run_until([&] { return f.client && f.server; }));
    bool ended = false;
    error_code result;
    f.server->async_wait(readiness::hang_up, [&](error_code ec) {
        ended = true;
        result = ec;
    });
    REQUIRE(::send(f.client->native_handle(), "!", 1, MSG_OOB) == 1);
    REQUIRE(f.run_until([&] { return ended; }));
    CHECK_FALSE(result);
}

TEST_CASE("a half-closed stream still receives", "[kernel]")
{
    const auto speak = GENERATE(protocol::tcp, protocol::mptcp);
    fixture f{speak};
    f.accept();
    f.connect(f.listener->local(), {.speak = speak, .source = std::nullopt});
    REQUIRE(f.run_until([&] { return f.client && f.server; }));
    error_code ec;
    f.client->shutdown_send(ec);
    REQUIRE_FALSE(ec);
    bool readable = false;
    f.server->async_wait(readiness::readable, [&](error_code) { readable = true; });
    REQUIRE(f.run_until([&] { return readable; }));
    std::array<std::byte, 8> buffer{};
    CHECK(f.server->read_some(buffer, ec) == 0);
    CHECK(ec == asio::error::eof);
    CHECK(f.server->write_some(std::as_bytes(std::span{"late", 4}), ec) == 4);
    readable = false;
    f.client->async_wait(readiness::readable, [&](error_code) { readable = true; });
    REQUIRE(f.run_until([&] { return readable; }));
    CHECK(f.client->read_some(buffer, ec) == 4);
}
