// SPDX-License-Identifier: Apache-2.0
//
// The relay between real sockets over loopback, TCP and MPTCP on either side.
#include "proxy/kernel/kernel_stream.hpp"
#include "proxy/relay/relay.hpp"
#include "tests/support/loopback.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/resource.h>

using namespace manypath;
using namespace std::chrono_literals;

namespace {

/// Hides the socket, as a back end without sockets would.
class without_handle final : public stream {
public:
    explicit without_handle(std::unique_ptr<stream> inner) : inner_(std::move(inner)) {}
    void async_wait(readiness what, ready_handler handler) override
    {
        inner_->async_wait(what, std::move(handler));
    }
    std::size_t read_some(std::span<std::byte> buffer, error_code& ec) override
    {
        return inner_->read_some(buffer, ec);
    }
    std::size_t write_some(std::span<const std::byte> data, error_code& ec) override
    {
        return inner_->write_some(data, ec);
    }
    void shutdown_send(error_code& ec) override { inner_->shutdown_send(ec); }
    void abort() noexcept override { inner_->abort(); }
    void close() noexcept override { inner_->close(); }
    [[nodiscard]] int native_handle() const noexcept override { return -1; }
    [[nodiscard]] endpoint local() const override { return inner_->local(); }
    [[nodiscard]] endpoint remote() const override { return inner_->remote(); }
    [[nodiscard]] connection_info info() const override { return inner_->info(); }

private:
    std::unique_ptr<stream> inner_;
};

/// The bytes at `offset` of a stream that no shift or loss leaves equal.
void fill_pattern(std::span<std::byte> out, std::uint64_t offset, std::uint64_t salt)
{
    for (std::size_t i = 0; i < out.size(); ++i) {
        const std::uint64_t position = offset + i;
        out[i] = static_cast<std::byte>((position ^ (position >> 8) ^ (position >> 16)) + salt);
    }
}

/// A program at one end of the relayed connection.
struct peer {
    unique_fd socket;
    std::uint64_t salt = 0; ///< of what it sends
    std::uint64_t sent = 0;
    std::uint64_t received = 0;
    bool intact = true; ///< everything received was what the other peer sends
    bool saw_end = false;
    int error = 0;

    /// Sends until `total` bytes are sent or the socket blocks.
    void send_up_to(std::uint64_t total)
    {
        std::array<std::byte, 32768> chunk;
        while (sent < total && error == 0) {
            const auto size = std::min<std::uint64_t>(chunk.size(), total - sent);
            fill_pattern(std::span{chunk}.first(size), sent, salt);
            const auto n = ::send(socket.get(), chunk.data(), size, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN)
                return;
            if (n < 0)
                error = errno;
            else
                sent += static_cast<std::uint64_t>(n);
        }
    }

    /// Receives what is there.
    void receive(std::uint64_t from_salt)
    {
        std::array<std::byte, 32768> chunk;
        std::array<std::byte, 32768> expected;
        while (!saw_end && error == 0) {
            const auto n = ::recv(socket.get(), chunk.data(), chunk.size(), MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN)
                return;
            if (n < 0)
                error = errno;
            if (n == 0)
                saw_end = true;
            if (n <= 0)
                return;
            const auto size = static_cast<std::size_t>(n);
            fill_pattern(std::span{expected}.first(size), received, from_salt);
            intact = intact && std::equal(chunk.begin(), chunk.begin() + n, expected.begin());
            received += size;
        }
    }

    void end_sending() { REQUIRE(::shutdown(socket.get(), SHUT_WR) == 0); }

    void reset()
    {
        constexpr linger at_once{.l_onoff = 1, .l_linger = 0};
        REQUIRE(::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once) == 0);
        socket.reset();
    }
};

struct kinds {
    protocol client = protocol::tcp;
    protocol server = protocol::tcp;
};

struct fixture {
    explicit fixture(kinds speak, std::size_t pipes_at_most = 8, bool splices = true)
        : pipes(pipes_at_most)
    {
        auto client_stream = connect(client, speak.client);
        auto server_stream = connect(server, speak.server);
        if (!splices) {
            client_stream = std::make_unique<without_handle>(std::move(client_stream));
            server_stream = std::make_unique<without_handle>(std::move(server_stream));
        }
        client.salt = 1;
        server.salt = 2;
        subject = relay::create(std::move(client_stream), std::move(server_stream),
                                {.idle = 100s, .half_close = 10s}, pipes);
    }

    void start(std::vector<std::byte> early = {})
    {
        subject->start(std::move(early), [this](const relay_report& r) {
            ++reports;
            report = r;
        });
    }

    /// Lets the relay and the peers work until `done` or ten seconds are over.
    template <typename Condition>
    bool run_until(Condition done)
    {
        const auto deadline = std::chrono::steady_clock::now() + 10s;
        while (!done() && std::chrono::steady_clock::now() < deadline) {
            context.restart();
            context.run_one_for(10ms);
        }
        return done();
    }
    bool run_until_reported()
    {
        return run_until([this] { return reports > 0; });
    }
    /// What the owner of a relay does every second.
    void check() { subject->check(relay::clock::now()); }

    asio::io_context context{1};
    pipe_pool pipes;
    peer client;
    peer server;
    std::shared_ptr<relay> subject;
    int reports = 0;
    relay_report report;

private:
    std::unique_ptr<stream> connect(peer& end, protocol speak)
    {
        const auto listener = test::listen_on_loopback(speak, AF_INET);
        end.socket = test::connect_to(listener.get(), speak);
        unique_fd accepted = test::accept_from(listener.get());
        REQUIRE(::fcntl(accepted.get(), F_SETFL, O_NONBLOCK) == 0);
        error_code ec;
        auto watched = kernel::watch(context.get_executor(), std::move(accepted), ec);
        REQUIRE_FALSE(ec);
        return std::make_unique<kernel::kernel_stream>(std::move(watched), speak, endpoint{});
    }
};

kinds every_pairing()
{
    return GENERATE(kinds{protocol::tcp, protocol::tcp}, kinds{protocol::tcp, protocol::mptcp},
                    kinds{protocol::mptcp, protocol::tcp});
}

void transfer_both_ways(fixture& f, std::uint64_t total)
{
    bool client_ended = false;
    bool server_ended = false;
    const auto finish_sending = [&](peer& p, bool& ended) {
        p.send_up_to(total);
        if (p.sent == total && !std::exchange(ended, true))
            p.end_sending();
    };
    REQUIRE(f.run_until([&] {
        finish_sending(f.client, client_ended);
        finish_sending(f.server, server_ended);
        f.client.receive(f.server.salt);
        f.server.receive(f.client.salt);
        return f.client.saw_end && f.server.saw_end && f.reports > 0;
    }));
    for (const auto* p : {&f.client, &f.server}) {
        CHECK(p->received == total);
        CHECK(p->intact);
        CHECK(p->error == 0);
    }
    CHECK(f.report.end == relay_end::finished);
    CHECK(f.report.bytes_to_server == total);
    CHECK(f.report.bytes_to_client == total);
}

} // namespace

TEST_CASE("big transfers both ways at once arrive intact", "[relay]")
{
    fixture f{every_pairing()};
    f.start();
    transfer_both_ways(f, 20'000'000);
}

TEST_CASE("big transfers arrive intact without splice", "[relay]")
{
    fixture f{every_pairing(), 8, false};
    f.start();
    transfer_both_ways(f, 20'000'000);
}

TEST_CASE("big transfers arrive intact when no pipe is left", "[relay]")
{
    fixture f{every_pairing(), 0};
    f.start();
    transfer_both_ways(f, 20'000'000);
}

TEST_CASE("a relay that finds no descriptors for pipes copies", "[relay]")
{
    fixture f{{}};
    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    f.start();
    transfer_both_ways(f, 2'000'000);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}

TEST_CASE("after one side has ended its stream the other goes on, in either order", "[relay]")
{
    fixture f{every_pairing()};
    const bool client_first = GENERATE(true, false);
    f.start();
    peer& first = client_first ? f.client : f.server;
    peer& second = client_first ? f.server : f.client;
    first.send_up_to(1'000);
    first.end_sending();
    REQUIRE(f.run_until([&] {
        second.receive(first.salt);
        return second.saw_end;
    }));
    CHECK(second.received == 1'000);
    REQUIRE(f.run_until([&] {
        second.send_up_to(3'000'000);
        first.receive(second.salt);
        return first.received == 3'000'000;
    }));
    CHECK(first.intact);
    CHECK(f.reports == 0);
    second.end_sending();
    REQUIRE(f.run_until_reported());
    CHECK(f.report.end == relay_end::finished);
}

TEST_CASE("a reset of one side becomes a reset of the other, after the bytes before it", "[relay]")
{
    fixture f{every_pairing()};
    const bool client_resets = GENERATE(true, false);
    const std::uint64_t before = GENERATE(0u, 1u, 100'000u);
    f.start();
    peer& dying = client_resets ? f.client : f.server;
    peer& survivor = client_resets ? f.server : f.client;
    dying.send_up_to(before);
    REQUIRE(f.run_until([&] {
        int unsent = 0; // bytes still queued would die with the socket, relay or not
        return ::ioctl(dying.socket.get(), TIOCOUTQ, &unsent) == 0 && unsent == 0;
    }));
    dying.reset();
    REQUIRE(f.run_until([&] {
        survivor.receive(dying.salt);
        return survivor.error != 0 || survivor.saw_end;
    }));
    CHECK(survivor.error == ECONNRESET);
    CHECK(survivor.received == before);
    CHECK(survivor.intact);
    REQUIRE(f.run_until_reported());
    CHECK(f.report.end ==
          (client_resets ? relay_end::reset_by_client : relay_end::reset_by_server));
    CHECK(f.report.error == asio::error::connection_reset);
}

// Goal: nobody has to send anything for a reset to be noticed after a half-close.
TEST_CASE("a reset after the end of stream passes without traffic", "[relay]")
{
    fixture f{every_pairing()};
    const bool client_resets = GENERATE(true, false);
    f.start();
    peer& dying = client_resets ? f.client : f.server;
    peer& survivor = client_resets ? f.server : f.client;
    dying.end_sending();
    REQUIRE(f.run_until([&] {
        survivor.receive(dying.salt);
        return survivor.saw_end;
    }));
    f.check();
    dying.reset();
    REQUIRE(f.run_until_reported());
    CHECK(f.report.end ==
          (client_resets ? relay_end::reset_by_client : relay_end::reset_by_server));
    CHECK(f.run_until([&] {
        survivor.send_up_to(survivor.sent + 1);
        return survivor.error != 0;
    }));
}

/// Sends until the relay and all buffers are full. @return bytes which the sender got rid of
std::uint64_t fill_up(fixture& f, peer& from)
{
    std::uint64_t before = 0;
    do {
        before = from.sent;
        for (int turn = 0; turn < 50; ++turn) {
            from.send_up_to(from.sent + 10'000'000);
            f.context.restart();
            f.context.run_one_for(2ms);
        }
    } while (from.sent != before);
    return before;
}

TEST_CASE("a reset reaches a side that reads nothing once its grace is over", "[relay]")
{
    fixture f{every_pairing()};
    f.start();
    fill_up(f, f.client);
    f.check();
    f.client.reset();
    REQUIRE(f.run_until([&] { return f.subject->snapshot().end == relay_end::reset_by_client; }));
    CHECK(f.reports == 0);
    const auto now = relay::clock::now();
    f.subject->check(now);
    f.subject->check(now + 2s);
    REQUIRE(f.run_until_reported());
    CHECK(f.report.end == relay_end::reset_by_client);
    REQUIRE(f.run_until([&] {
        f.server.receive(f.client.salt);
        return f.server.error != 0;
    }));
    CHECK(f.server.error == ECONNRESET);
    CHECK(f.server.intact);
}

TEST_CASE("bytes before a reset reach a slow reader before the reset", "[relay]")
{
    fixture f{{}};
    f.start();
    fill_up(f, f.client);
    const auto stuck = f.subject->snapshot().bytes_to_server;
    f.check();
    f.client.reset();
    REQUIRE(f.run_until([&] { return f.subject->snapshot().end == relay_end::reset_by_client; }));
    REQUIRE(f.run_until([&] {
        f.server.receive(f.client.salt);
        f.check();
        return f.server.error != 0;
    }));
    CHECK(f.server.error == ECONNRESET);
    CHECK(f.server.received > stuck);
    CHECK(f.server.intact);
}

// Goal: POLLHUP after both FINs is no reset. Method: the server ends first; then the client's
// last bytes and FIN meet a server that does not read yet.
TEST_CASE("both ends of stream with bytes still under way are no reset", "[relay]")
{
    fixture f{every_pairing()};
    f.start();
    f.server.end_sending();
    REQUIRE(f.run_until([&] {
        f.client.receive(f.server.salt);
        return f.client.saw_end;
    }));
    fill_up(f, f.client);
    f.client.end_sending();
    f.check();
    for (int turn = 0; turn < 20; ++turn) {
        f.context.restart();
        f.context.run_one_for(5ms);
    }
    CHECK(f.reports == 0);
    REQUIRE(f.run_until([&] {
        f.server.receive(f.client.salt);
        return f.server.saw_end || f.server.error != 0;
    }));
    CHECK(f.server.error == 0);
    CHECK(f.server.received == f.client.sent);
    CHECK(f.server.intact);
    REQUIRE(f.run_until_reported());
    CHECK(f.report.end == relay_end::finished);
}

TEST_CASE("an abort resets both peers", "[relay]")
{
    fixture f{every_pairing()};
    f.start();
    f.subject->abort();
    REQUIRE(f.run_until([&] {
        f.client.receive(f.server.salt);
        f.server.receive(f.client.salt);
        return f.client.error != 0 && f.server.error != 0;
    }));
    CHECK(f.client.error == ECONNRESET);
    CHECK(f.server.error == ECONNRESET);
    REQUIRE(f.run_until_reported());
    CHECK(f.report.end == relay_end::aborted);
}

TEST_CASE("early bytes arrive in front of the client's stream", "[relay]")
{
    fixture f{{}};
    std::vector<std::byte> early(100'000);
    fill_pattern(early, 0, f.client.salt);
    f.client.sent = early.size();
    f.start(std::move(early));
    transfer_both_ways(f, 300'000);
}

// Goal: the log can name the bytes of each subflow, although none is left when the relay ends.
TEST_CASE("the report keeps the subflows of a connection that has ended", "[relay]")
{
    const bool mptcp_client = GENERATE(true, false);
    fixture f{mptcp_client ? kinds{protocol::mptcp, protocol::tcp}
                           : kinds{protocol::tcp, protocol::mptcp}};
    f.start();
    REQUIRE(f.run_until([&] {
        f.client.send_up_to(1'000'000);
        f.server.receive(f.client.salt);
        return f.server.received == 1'000'000;
    }));
    f.client.end_sending();
    REQUIRE(f.run_until([&] {
        f.server.receive(f.client.salt);
        return f.server.saw_end;
    }));
    f.server.end_sending();
    REQUIRE(f.run_until_reported());
    const auto& multipath = mptcp_client ? f.report.client : f.report.server;
    const auto& plain = mptcp_client ? f.report.server : f.report.client;
    CHECK(multipath.asked == protocol::mptcp);
    CHECK(multipath.negotiated == protocol::mptcp);
    CHECK(multipath.token != 0);
    std::uint64_t moved = 0; // this host's endpoints may have added subflows
    for (const auto& subflow : multipath.subflows)
        moved += mptcp_client ? subflow.received_bytes : subflow.sent_bytes;
    CHECK(moved >= 1'000'000);
    CHECK(plain.asked == protocol::tcp);
    CHECK(plain.subflows.empty());
}

TEST_CASE("a pool lends no more pipes than allowed and never one that holds bytes", "[relay]")
{
    pipe_pool pool{2};
    auto first = pool.take();
    auto second = pool.take();
    REQUIRE(first);
    REQUIRE(second);
    CHECK_FALSE(pool.take());
    const int kept = second.exit.get();
    first.held_bytes = 1;
    const int dropped = first.exit.get();
    pool.give_back(std::move(first));
    pool.give_back(std::move(second));
    CHECK(::fcntl(dropped, F_GETFD) == -1);
    CHECK(pool.take().exit.get() == kept);
}
