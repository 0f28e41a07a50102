// SPDX-License-Identifier: Apache-2.0
#include "proxy/async/task_group.hpp"
#include "proxy/modes/mode.hpp"
#include "proxy/modes/mode_error.hpp"
#include "tests/support/scripted_stream.hpp"

#include <catch2/catch.hpp>
#include <random>

using namespace manypath;
using namespace std::string_literals;
using test::scripted_peer;
using test::scripted_stream;

namespace {

struct outcome {
    bool ended = false;
    error_code ec;
    request asked;
    std::string told; ///< what the client received
    [[nodiscard]] std::string to() const { return to_string(asked.to); }
    [[nodiscard]] std::string early() const
    {
        std::string text;
        for (const std::byte b : asked.early)
            text.push_back(static_cast<char>(b));
        return text;
    }
};

config::listen listener(config::listen_mode mode)
{
    config::listen made;
    made.mode = mode;
    return made;
}

asio::awaitable<void> read_into(outcome& result, mode& speaks, stream& client)
{
    result.asked = co_await speaks.read_request(client, result.ec);
    result.ended = true;
}

/// Lets a client send `input` in chunks of `chunk` bytes, then end its stream.
outcome ask(config::listen_mode how, const std::string& input, std::size_t chunk)
{
    asio::io_context context{1};
    auto peer = std::make_shared<scripted_peer>();
    peer->to_come = test::in_chunks(input, chunk);
    peer->end = asio::error::eof;
    scripted_stream client{context, peer};
    const auto speaks = make_mode(listener(how));
    outcome result;
    task_group tasks{context};
    tasks.spawn("request", read_into(result, *speaks, client));
    context.run();
    result.told = peer->received;
    return result;
}

asio::awaitable<void> answer(mode& speaks, stream& client, error_code dialled, endpoint bound,
                             error_code& ec)
{
    co_await speaks.answer(client, dialled, bound, ec);
}

/// What the client receives when dialling ended with `dialled`.
std::string answer_to(config::listen_mode how, error_code dialled,
                      std::shared_ptr<scripted_peer> peer = std::make_shared<scripted_peer>())
{
    asio::io_context context{1};
    scripted_stream client{context, peer};
    const auto speaks = make_mode(listener(how));
    const endpoint bound{asio::ip::make_address("198.18.1.1"), 0x1234};
    error_code ec;
    task_group tasks{context};
    tasks.spawn("answer", answer(*speaks, client, dialled, bound, ec));
    context.run();
    CHECK_FALSE(ec);
    return peer->received;
}

constexpr auto socks = config::listen_mode::socks5;
constexpr auto http = config::listen_mode::http_connect;

const std::string hello = "\x05\x01\x00"s;
const std::string welcome = "\x05\x00"s;

} // namespace

TEST_CASE("SOCKS5 requests are understood however they are cut", "[modes][socks5]")
{
    const std::size_t chunk = GENERATE(1u, 2u, 3u, 7u, 1000u);
    CAPTURE(chunk);
    const auto v4 = ask(socks, hello + "\x05\x01\x00\x01\xc6\x12\x02\x02\x00\x50"s, chunk);
    CHECK_FALSE(v4.ec);
    CHECK(v4.to() == "198.18.2.2:80");
    CHECK(v4.told == welcome);
    const auto v6 =
        ask(socks,
            hello + "\x05\x01\x00\x04\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01\x01\xbb"s,
            chunk);
    CHECK_FALSE(v6.ec);
    CHECK(v6.to() == "[2001:db8::1]:443");
    const auto name = ask(socks, hello + "\x05\x01\x00\x03\x0bserver.test\x00\x50"s, chunk);
    CHECK_FALSE(name.ec);
    CHECK(name.asked.to == destination{host_port{"server.test", 80}});
    const auto number = ask(socks, hello + "\x05\x01\x00\x03\x0a"s + "198.18.2.2\x00\x50"s, chunk);
    CHECK(number.to() == "198.18.2.2:80");
    CHECK(std::holds_alternative<endpoint>(number.asked.to));
}

TEST_CASE("a SOCKS5 client may prefer other methods as long as it offers none", "[modes][socks5]")
{
    const auto result =
        ask(socks, "\x05\x03\x01\x02\x00"s + "\x05\x01\x00\x01\xc6\x12\x02\x02\x00\x50"s, 1);
    CHECK_FALSE(result.ec);
    CHECK(result.told == welcome);
}

TEST_CASE("a SOCKS5 client that insists on a password is asked for one", "[modes][socks5]")
{
    const std::size_t chunk = GENERATE(1u, 1000u);
    const auto result = ask(socks,
                            "\x05\x02\x01\x02"s + "\x01\x04user\x06secret"s +
                                "\x05\x01\x00\x01\xc6\x12\x02\x02\x00\x50"s,
                            chunk);
    CHECK_FALSE(result.ec);
    CHECK(result.to() == "198.18.2.2:80");
    CHECK(result.told == "\x05\x02\x01\x00"s);
    const auto nonsense = ask(socks, "\x05\x01\x02"s + "\x02\x01u\x01p"s, chunk);
    CHECK(nonsense.ec == mode_error::bad_request);
}

TEST_CASE("bytes behind a SOCKS5 request are kept for the server", "[modes][socks5]")
{
    const auto result = ask(socks, hello + "\x05\x01\x00\x01\xc6\x12\x02\x02\x00\x50GET /"s, 1000);
    CHECK(result.early() == "GET /");
}

TEST_CASE("each kind of bad SOCKS5 request gets its reply", "[modes][socks5]")
{
    const std::size_t chunk = GENERATE(1u, 1000u);
    const auto told = [chunk](const std::string& input, mode_error expected) {
        const auto result = ask(socks, input, chunk);
        CHECK(result.ec == expected);
        return result.told;
    };
    const std::string nowhere = "\x00\x01\x00\x00\x00\x00\x00\x00"s;
    const std::string target = "\x00\x01\xc6\x12\x02\x02\x00\x50"s;
    using enum mode_error;
    CHECK(told("\x04\x01\x00\x50"s, bad_request).empty());
    CHECK(told("GET / HTTP/1.1\r\n", bad_request).empty());
    CHECK(told("\x05\x00"s, bad_request).empty());
    CHECK(told("\x05\x01\x01"s, no_common_method) == "\x05\xff");
    CHECK(told(hello + "\x05\x02"s + target, not_connect) == welcome + "\x05\x07" + nowhere);
    CHECK(told(hello + "\x05\x03"s + target, not_connect) == welcome + "\x05\x07" + nowhere);
    CHECK(told(hello + "\x05\x01\x00\x02"s, bad_request) == welcome + "\x05\x08" + nowhere);
    CHECK(told(hello + "\x04\x01\x00\x01"s, bad_request) == welcome + "\x05\x01" + nowhere);
    CHECK(told(hello + "\x05\x01\x00\x03\x00"s, bad_request) == welcome + "\x05\x01" + nowhere);
    CHECK(told(hello + "\x05\x01\x00\x03\x03"s + "a\0b\x00\x50"s, bad_request) ==
          welcome + "\x05\x01" + nowhere);
    CHECK(told(hello + "\x05\x01\x00\x01\xc6\x12\x02\x02\x00\x00"s, bad_request) ==
          welcome + "\x05\x01" + nowhere);
}

TEST_CASE("a SOCKS5 client that ends early leaves no request behind", "[modes][socks5]")
{
    const std::string whole = hello + "\x05\x01\x00\x01\xc6\x12\x02\x02\x00\x50"s;
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CAPTURE(size);
        CHECK(ask(socks, whole.substr(0, size), 1).ec == asio::error::eof);
    }
}

TEST_CASE("the SOCKS5 reply says how dialling ended", "[modes][socks5]")
{
    CHECK(answer_to(socks, {}) == "\x05\x00\x00\x01\xc6\x12\x01\x01\x12\x34"s);
    const auto code = [](error_code dialled) { return int{answer_to(socks, dialled).at(1)}; };
    CHECK(code(mode_error::own_address) == 2);
    CHECK(code(asio::error::network_unreachable) == 3);
    CHECK(code(asio::error::host_unreachable) == 4);
    CHECK(code(asio::error::timed_out) == 4);
    CHECK(code(asio::error::host_not_found) == 4);
    CHECK(code(asio::error::connection_refused) == 5);
    CHECK(code(asio::error::address_family_not_supported) == 8);
    CHECK(code(asio::error::no_descriptors) == 1);
}

TEST_CASE("CONNECT requests are understood however they are cut", "[modes][http]")
{
    const std::size_t chunk = GENERATE(1u, 2u, 5u, 1000u);
    CAPTURE(chunk);
    const auto to = [chunk](const std::string& target, const std::string& fields) {
        const auto result =
            ask(http, "CONNECT " + target + " HTTP/1.1\r\n" + fields + "\r\n", chunk);
        CHECK_FALSE(result.ec);
        CHECK(result.told.empty());
        CHECK(result.early().empty());
        return result.to();
    };
    CHECK(to("server.test:443", "Host: server.test:443\r\n") == "server.test:443");
    CHECK(to("198.18.2.2:80", "") == "198.18.2.2:80");
    CHECK(to("[2001:db8::1]:443", "User-Agent: x\r\nProxy-Connection: Keep-Alive\r\n") ==
          "[2001:db8::1]:443");
}

TEST_CASE("bytes behind the head of a CONNECT are kept for the server", "[modes][http]")
{
    const std::string head = "CONNECT server.test:443 HTTP/1.1\r\nContent-Length: 9\r\n\r\n";
    const auto result = ask(http, head + "\x16\x03\x01hello", 1000);
    CHECK_FALSE(result.ec);
    CHECK(result.early() == "\x16\x03\x01hello");
}

TEST_CASE("each kind of bad HTTP request gets its status", "[modes][http]")
{
    const std::size_t chunk = GENERATE(1u, 1000u);
    const auto status = [chunk](const std::string& input, mode_error expected) {
        const auto result = ask(http, input, chunk);
        CHECK(result.ec == expected);
        CHECK(result.told.ends_with("\r\n\r\n"));
        return result.told.substr(0, 12);
    };
    const auto of_target = [&status](const std::string& target) {
        return status("CONNECT " + target + " HTTP/1.1\r\n\r\n", mode_error::bad_request);
    };
    for (const std::string bad :
         {"server.test", "server.test:", "server.test:0", "server.test:65536", "server.test:8x",
          ":80", "2001:db8::1:80", "[2001:db8::1]", "[server.test]:80", "[]:80", "/", "a b:80"})
        CHECK(of_target(bad) == "HTTP/1.1 400");
    CHECK(of_target(std::string(300, 'n') + ":80") == "HTTP/1.1 400");
    using enum mode_error;
    CHECK(status("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"s, bad_request) ==
          "HTTP/1.1 400");
    CHECK(status("CONNECT a:80 HTTP/1.1\r\nno colon\r\n\r\n", bad_request) == "HTTP/1.1 400");
    CHECK(status("GET http://server.test/ HTTP/1.1\r\n\r\n", not_connect) == "HTTP/1.1 405");
    CHECK(status("CONNECT a:80 HTTP/1.1\r\nX: " + std::string(9000, 'x') + "\r\n\r\n",
                 request_too_long) == "HTTP/1.1 431");
    CHECK(status("CONNECT " + std::string(9000, 'x'), request_too_long) == "HTTP/1.1 431");
}

TEST_CASE("a 405 names the method that is allowed", "[modes][http]")
{
    const auto result = ask(http, "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", 1);
    CHECK(result.told.find("\r\nAllow: CONNECT\r\n") != std::string::npos);
}

TEST_CASE("an HTTP client that ends early leaves no request behind", "[modes][http]")
{
    const std::string whole = "CONNECT server.test:443 HTTP/1.1\r\nHost: x\r\n\r\n";
    for (std::size_t size = 0; size < whole.size(); ++size) {
        CAPTURE(size);
        CHECK(ask(http, whole.substr(0, size), 1).ec == asio::error::eof);
    }
}

TEST_CASE("the status of a CONNECT says how dialling ended", "[modes][http]")
{
    const auto status = [](error_code dialled) { return answer_to(http, dialled).substr(9, 3); };
    CHECK(answer_to(http, {}) == "HTTP/1.1 200 Connection established\r\n\r\n");
    CHECK(status(asio::error::timed_out) == "504");
    CHECK(status(asio::error::connection_refused) == "502");
    CHECK(status(asio::error::host_not_found) == "502");
    CHECK(status(mode_error::own_address) == "403");
}

// Goal: no input ends anything but its own connection.
TEST_CASE("random bytes end as a refused request in every mode", "[modes]")
{
    const std::uint32_t seed = 20261121;
    CAPTURE(seed);
    std::mt19937 random{seed};
    for (int round = 0; round < 300; ++round) {
        std::string input(random() % 200, '\0');
        for (char& c : input)
            c = static_cast<char>(random());
        for (const auto how : {socks, http}) {
            const auto result = ask(how, input, 1 + random() % 50);
            REQUIRE(result.ended);
            REQUIRE(result.ec);
        }
    }
}

TEST_CASE("transparent mode takes the destination from the connection itself", "[modes]")
{
    asio::io_context context{1};
    auto peer = std::make_shared<scripted_peer>();
    peer->local = {asio::ip::make_address("::ffff:203.0.113.9"), 443};
    scripted_stream client{context, peer};
    const auto speaks = make_mode(listener(config::listen_mode::transparent));
    outcome result;
    task_group tasks{context};
    tasks.spawn("request", read_into(result, *speaks, client));
    context.run();
    CHECK(result.to() == "203.0.113.9:443");
}

TEST_CASE("a client that was promised a server is reset where there is none", "[modes]")
{
    for (const auto how : {config::listen_mode::transparent, config::listen_mode::forward}) {
        auto peer = std::make_shared<scripted_peer>();
        CHECK(answer_to(how, {}, peer).empty());
        CHECK_FALSE(peer->aborted);
        CHECK(answer_to(how, asio::error::connection_refused, peer).empty());
        CHECK(peer->aborted);
    }
}
