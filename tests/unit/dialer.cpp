// SPDX-License-Identifier: Apache-2.0
#include "proxy/transport/dialer.hpp"
#include "proxy/async/task_group.hpp"
#include "tests/support/scripted_stream.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/errc.hpp>
#include <catch2/catch.hpp>
#include <map>

using namespace manypath;
using namespace std::chrono_literals;

namespace {

const auto v4 = asio::ip::make_address("198.18.2.2");
const auto v6 = asio::ip::make_address("2001:db8::2");

/// How an address answers.
struct behaviour {
    error_code tcp;
    error_code mptcp;
    bool tcp_silent = false;
    bool mptcp_silent = false;
    bool falls_back = false;
};

class fake_connector final : public connector {
public:
    explicit fake_connector(asio::io_context& context) : context_(context) {}

    asio::awaitable<std::unique_ptr<stream>> connect(endpoint to, connect_options options,
                                                     error_code& ec) override
    {
        tried.push_back({to, options.speak});
        sources.push_back(options.source);
        const behaviour& how = hosts[to.address()];
        const bool mptcp = options.speak == protocol::mptcp;
        if (mptcp ? how.mptcp_silent : how.tcp_silent) {
            asio::steady_timer never{context_, asio::steady_timer::time_point::max()};
            co_await never.async_wait(asio::redirect_error(asio::use_awaitable, ec));
            ++cancelled;
            co_return nullptr;
        }
        ec = mptcp ? how.mptcp : how.tcp;
        if (ec)
            co_return nullptr;
        auto peer = std::make_shared<test::scripted_peer>();
        peer->remote = to;
        peer->info.asked = options.speak;
        peer->info.negotiated = how.falls_back ? protocol::tcp : options.speak;
        co_return std::make_unique<test::scripted_stream>(context_, std::move(peer));
    }

    std::map<asio::ip::address, behaviour> hosts;
    std::vector<candidate> tried;
    std::vector<std::optional<endpoint>> sources;
    int cancelled = 0;

private:
    asio::io_context& context_;
};

class fake_resolver final : public resolver {
public:
    asio::awaitable<addresses> resolve(std::string, error_code& ec) override
    {
        ec = error;
        co_return found;
    }
    addresses found;
    error_code error;
};

struct result {
    bool ended = false;
    error_code ec;
    std::unique_ptr<stream> connected;
};

/// Every delay has passed as soon as it begins.
constexpr dial_timing impatient{.attempt_delay = 0ms, .mptcp_patience = 0ms};

struct fixture {
    explicit fixture(dial_timing timing = impatient)
        : dials(context, connects, names, memory, timing)
    {
    }

    asio::io_context context{1};
    fake_connector connects{context};
    fake_resolver names;
    fallback_memory memory;
    dialer dials;
    task_group tasks{context};

    asio::awaitable<void> dial_into(result& r, destination to, dial_options options)
    {
        co_await asio::this_coro::throw_if_cancelled(false);
        r.connected = co_await dials.dial(std::move(to), options, r.ec);
        r.ended = true;
    }

    result dial(destination to, dial_options options)
    {
        result r;
        tasks.spawn("dial", dial_into(r, std::move(to), options));
        context.restart();
        context.run();
        REQUIRE(r.ended);
        REQUIRE(tasks.size() == 0);
        return r;
    }
};

const dial_options over_mptcp{.speak = protocol::mptcp, .source = {}, .limit = 15s};
const dial_options over_tcp{.speak = protocol::tcp, .source = {}, .limit = 15s};

} // namespace

TEST_CASE("a destination given by address is dialled as asked", "[dialer]")
{
    fixture f{dial_timing{}};
    const auto r = f.dial(endpoint{v4, 80}, over_mptcp);
    CHECK_FALSE(r.ec);
    REQUIRE(r.connected);
    CHECK(r.connected->info().negotiated == protocol::mptcp);
    CHECK(f.connects.tried == std::vector<candidate>{{{v4, 80}, protocol::mptcp}});
    CHECK(f.memory.size(fallback_memory::clock::now()) == 0);
}

TEST_CASE("the first address of a name to answer wins and the others are cancelled", "[dialer]")
{
    fixture f;
    f.names.found = {v6, v4};
    f.connects.hosts[v6].tcp_silent = true;
    const auto r = f.dial(host_port{"server.test", 80}, over_tcp);
    CHECK_FALSE(r.ec);
    REQUIRE(r.connected);
    CHECK(r.connected->remote() == endpoint{v4, 80});
    CHECK(f.connects.cancelled == 1);
}

TEST_CASE("MPTCP without an answer gives way to TCP, once and from then on", "[dialer]")
{
    fixture f;
    f.connects.hosts[v4].mptcp_silent = true;
    auto r = f.dial(endpoint{v4, 80}, over_mptcp);
    REQUIRE(r.connected);
    CHECK(r.connected->info().asked == protocol::tcp);
    CHECK(f.connects.cancelled == 1);
    CHECK(f.memory.size(fallback_memory::clock::now()) == 1);
    f.connects.tried.clear();
    r = f.dial(endpoint{v4, 80}, over_mptcp);
    CHECK(r.connected);
    CHECK(f.connects.tried == std::vector<candidate>{{{v4, 80}, protocol::tcp}});
}

TEST_CASE("MPTCP that is reset gives way to TCP and is remembered", "[dialer]")
{
    fixture f;
    f.connects.hosts[v4].mptcp = asio::error::connection_refused;
    const auto r = f.dial(endpoint{v4, 80}, over_mptcp);
    REQUIRE(r.connected);
    CHECK(f.memory.prefers_tcp({v4, 80}, fallback_memory::clock::now()));
}

TEST_CASE("a closed port is an error and no reason to remember anything", "[dialer]")
{
    fixture f;
    f.connects.hosts[v4] = {.tcp = asio::error::connection_refused,
                            .mptcp = asio::error::connection_refused};
    const auto r = f.dial(endpoint{v4, 80}, over_mptcp);
    CHECK_FALSE(r.connected);
    CHECK(r.ec == asio::error::connection_refused);
    CHECK(f.memory.size(fallback_memory::clock::now()) == 0);
}

TEST_CASE("a server that answers MPTCP with TCP is remembered", "[dialer]")
{
    fixture f{dial_timing{}};
    f.connects.hosts[v4].falls_back = true;
    const auto r = f.dial(endpoint{v4, 80}, over_mptcp);
    REQUIRE(r.connected);
    CHECK(r.connected->info().asked == protocol::mptcp);
    CHECK(f.memory.prefers_tcp({v4, 80}, fallback_memory::clock::now()));
}

TEST_CASE("a host without MPTCP uses TCP and blames nobody", "[dialer]")
{
    fixture f;
    f.connects.hosts[v4].mptcp =
        boost::system::errc::make_error_code(boost::system::errc::protocol_not_supported);
    const auto r = f.dial(endpoint{v4, 80}, over_mptcp);
    REQUIRE(r.connected);
    CHECK(f.memory.size(fallback_memory::clock::now()) == 0);
}

TEST_CASE("the time limit ends a dial that nobody answers", "[dialer]")
{
    fixture f;
    f.connects.hosts[v4] = {.tcp = {}, .mptcp = {}, .tcp_silent = true, .mptcp_silent = true};
    dial_options options = over_mptcp;
    options.limit = 1ms;
    const auto r = f.dial(endpoint{v4, 80}, options);
    CHECK_FALSE(r.connected);
    CHECK(r.ec == asio::error::timed_out);
    CHECK(f.connects.cancelled == 2);
}

TEST_CASE("a name that does not exist is the dial's error", "[dialer]")
{
    fixture f;
    f.names.error = asio::error::host_not_found;
    const auto r = f.dial(host_port{"nowhere.test", 80}, over_mptcp);
    CHECK_FALSE(r.connected);
    CHECK(r.ec == asio::error::host_not_found);
    CHECK(f.connects.tried.empty());
}

TEST_CASE("a source address restricts a name to its own family", "[dialer]")
{
    fixture f;
    f.names.found = {v6, v4};
    dial_options options = over_tcp;
    options.source = asio::ip::make_address("198.18.0.2");
    auto r = f.dial(host_port{"server.test", 80}, options);
    REQUIRE(r.connected);
    CHECK(f.connects.tried == std::vector<candidate>{{{v4, 80}, protocol::tcp}});
    CHECK(f.connects.sources.front() == endpoint{*options.source, 0});
    r = f.dial(endpoint{v6, 80}, options);
    CHECK(r.ec == asio::error::address_family_not_supported);
}

TEST_CASE("a cancelled dial drops its attempts and says so", "[dialer]")
{
    fixture f;
    f.connects.hosts[v4] = {.tcp = {}, .mptcp = {}, .tcp_silent = true, .mptcp_silent = true};
    result r;
    f.tasks.spawn("dial", f.dial_into(r, endpoint{v4, 80}, over_tcp));
    f.context.poll();
    REQUIRE_FALSE(r.ended);
    f.tasks.cancel();
    f.context.restart();
    f.context.run();
    CHECK(r.ended);
    CHECK(r.ec == asio::error::operation_aborted);
    CHECK(f.connects.cancelled == 1);
}
