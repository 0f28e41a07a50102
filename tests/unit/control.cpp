// control.cpp: the control socket answers who may ask, and nobody can hurt it.
//
// The server runs on a thread of its own; the tests talk to it with plain blocking sockets whose
// reads end with an error after a deadline, so that a hang is a failure.
// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/credentials.hpp"
#include "proxy/control/json.hpp"
#include "proxy/control/server.hpp"

#include <boost/asio/post.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <grp.h>
#include <stdexcept>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>

using namespace manypath;
using Catch::Matchers::Contains;
using namespace std::chrono_literals;

namespace {

constexpr timeval deadline{.tv_sec = 20, .tv_usec = 0};

endpoint at(const char* address, std::uint16_t port)
{
    return {asio::ip::make_address(address), port};
}

control::daemon_state sample_status()
{
    control::daemon_state s;
    s.version = "1.2.3";
    s.backend = "kernel";
    s.file = "/etc/manypath/\"odd\"\n.toml";
    s.uptime = std::chrono::seconds{86399};
    s.threads = 2;
    s.connections = 7;
    s.connections_maximum = 8000;
    s.fallbacks_remembered = 3;
    s.listeners.push_back({.name = "lan",
                           .mode = config::listen_mode::http_connect,
                           .addresses = {at("0.0.0.0", 1081), at("::", 1081)},
                           .accept = protocol::tcp,
                           .dial = protocol::mptcp,
                           .accepted = 18446744073709551615U,
                           .refused = 1,
                           .failed = 2,
                           .active = 7});
    return s;
}

std::vector<control::connection_state> sample_connections()
{
    control::connection_state c;
    c.listener = "lan";
    c.client = at("2001:db8::7", 40000);
    c.to = "www.example.net:443";
    c.server_side.asked = protocol::mptcp;
    c.server_side.negotiated = protocol::mptcp;
    c.server_side.token = 0xdeadbeef;
    c.server_side.subflows.push_back({.local = at("198.18.1.1", 5001),
                                      .remote = at("198.18.2.2", 443),
                                      .sent_bytes = 11,
                                      .received_bytes = 12,
                                      .round_trip = std::chrono::microseconds{1500}});
    c.bytes_to_server = 11;
    c.age = std::chrono::seconds{5};
    return {c, {}};
}

std::vector<control::path_state> sample_paths()
{
    control::path_state p;
    p.name = "fibre";
    p.interface = "wan0";
    p.up = true;
    p.addresses = {asio::ip::make_address("198.18.1.1"), asio::ip::make_address("2001:db8:1::1")};
    p.flags = {.subflow = true, .backup = true};
    p.subflows = 4;
    p.received_bytes = 5000000000U;
    return {p};
}

class fake_source final : public control::source {
public:
    asio::awaitable<control::daemon_state> status() override { co_return sample_status(); }
    asio::awaitable<std::vector<control::connection_state>> connections() override
    {
        co_return sample_connections();
    }
    asio::awaitable<std::vector<control::path_state>> paths() override
    {
        throw std::runtime_error{"no paths today"};
        co_return sample_paths();
    }
    asio::awaitable<std::string> reload() override { co_return reload_refusal; }

    std::string reload_refusal;
};

unique_fd connect_to(const std::string& path)
{
    unique_fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &deadline, sizeof deadline);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &deadline, sizeof deadline);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        socket.reset();
    return socket;
}

void send_text(const unique_fd& socket, std::string_view text)
{
    while (!text.empty()) {
        const auto sent = ::send(socket.get(), text.data(), text.size(), MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        text.remove_prefix(static_cast<std::size_t>(sent));
    }
}

/// One line without its end; what came so far where the server closes, "(silence)" where it hangs.
std::string receive_line(const unique_fd& socket)
{
    std::string line;
    for (char c = 0;;) {
        const auto got = ::recv(socket.get(), &c, 1, 0);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return "(silence)";
        if (got <= 0 || c == '\n')
            return line;
        line += c;
    }
}

/// A server on a socket in a directory of its own, on a thread of its own.
class running_server {
public:
    explicit running_server(control::server_limits limits = {})
    {
        char name[] = "/tmp/manypath-control-XXXXXX";
        directory_ = ::mkdtemp(name);
        ::chmod(directory_.c_str(), 0755);
        unique_fd listening{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        path().copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&address),
                       sizeof address) == 0);
        ::chmod(path().c_str(), 0666);
        REQUIRE(::listen(listening.get(), 64) == 0);
        server_.emplace(context_, std::move(listening), answers, limits);
        server_->start();
        thread_ = std::jthread{[this] { context_.run(); }};
    }
    running_server(const running_server&) = delete;
    running_server& operator=(const running_server&) = delete;
    ~running_server()
    {
        stop();
        std::filesystem::remove_all(directory_);
    }

    void stop()
    {
        if (!thread_.joinable())
            return;
        asio::post(context_, [this] { server_->stop(); });
        thread_.join(); // ends because no task is left
    }

    [[nodiscard]] std::string path() const { return directory_ + "/control.sock"; }

    [[nodiscard]] std::string ask(std::string_view request) const
    {
        const auto socket = connect_to(path());
        send_text(socket, request);
        return receive_line(socket);
    }

    fake_source answers;

private:
    std::string directory_;
    asio::io_context context_{1};
    std::optional<control::server> server_;
    std::jthread thread_;
};

template <typename State>
void check_round_trip(const State& state)
{
    const auto json = control::to_json(state);
    const auto text = boost::json::serialize(json);
    CHECK(text.find('\n') == text.npos); // one line, whatever the strings hold
    const auto back = control::from_json<State>(boost::json::parse(text));
    REQUIRE(back.has_value());
    CHECK(control::to_json(*back) == json);
}

} // namespace

TEST_CASE("states survive the way through JSON", "[control]")
{
    check_round_trip(sample_status());
    check_round_trip(sample_connections());
    check_round_trip(sample_paths());
    check_round_trip(control::daemon_state{});
    check_round_trip(std::vector<control::connection_state>{});
}

// A SOCKS5 client may ask for a name of any bytes; JSON has to be UTF-8.
TEST_CASE("a name of arbitrary bytes makes valid JSON", "[control]")
{
    control::connection_state c;
    c.to = "\xff\x01\"\n.example:80";
    const auto text = boost::json::serialize(control::to_json(std::vector{c}));
    CHECK(boost::json::parse(text).at(0).at("to") == "?\x01\"\n.example:80");
}

TEST_CASE("JSON of another shape is an error and no exception", "[control]")
{
    for (const char* text : {"{}", "[]", "null", "\"x\"", "{\"version\":1}"})
        CHECK_FALSE(control::from_json<control::daemon_state>(boost::json::parse(text)));
    auto json = control::to_json(sample_status());
    json.as_object()["threads"] = -1;
    CHECK_FALSE(control::from_json<control::daemon_state>(json));
    json = control::to_json(sample_status());
    json.as_object()["listeners"].as_array()[0].as_object()["mode"] = "teleport";
    CHECK_FALSE(control::from_json<control::daemon_state>(json));
    json = control::to_json(sample_connections());
    json.as_array()[0].as_object()["client"] = "nowhere";
    CHECK_FALSE(control::from_json<std::vector<control::connection_state>>(json));
}

TEST_CASE("each command gets its state as one line", "[control]")
{
    const running_server server;
    const auto status = boost::json::parse(server.ask("{\"command\":\"status\"}\n"));
    CHECK(status.at("result") == control::to_json(sample_status()));
    const auto connections = boost::json::parse(server.ask("{\"command\":\"connections\"}\n"));
    CHECK(connections.at("result") == control::to_json(sample_connections()));
}

TEST_CASE("a client may ask several times, also in one packet", "[control]")
{
    const running_server server;
    const auto socket = connect_to(server.path());
    send_text(socket, "{\"command\":\"status\"}\n{\"command\":\"reload\"}\n{\"command\":");
    CHECK_THAT(receive_line(socket), Contains("1.2.3"));
    CHECK(receive_line(socket) == "{\"result\":\"reloaded\"}");
    send_text(socket, "\"nonsense\"}\n");
    CHECK_THAT(receive_line(socket), Contains("unknown command") && Contains("allowed: status"));
}

TEST_CASE("a refused reload says why", "[control]")
{
    running_server server;
    server.answers.reload_refusal = "f:1: backend: fixed\nf:2: more";
    const auto reply = boost::json::parse(server.ask("{\"command\":\"reload\"}\n"));
    CHECK(reply.at("error") == "f:1: backend: fixed\nf:2: more");
}

TEST_CASE("a failing answer is told to the client, and the server goes on", "[control]")
{
    const running_server server;
    CHECK_THAT(server.ask("{\"command\":\"paths\"}\n"), Contains("no paths today"));
    CHECK_THAT(server.ask("{\"command\":\"status\"}\n"), Contains("result"));
}

TEST_CASE("nonsense on the control socket is answered with an error", "[control]")
{
    const running_server server;
    const std::string deep(2000, '[');
    for (const std::string& request :
         {std::string{"\n"}, std::string{"status\n"}, std::string{"[]\n"}, std::string{"{}\n"},
          std::string{"{\"command\":5}\n"}, std::string{"\xff\xfe\n"}, std::string("\0\n", 2),
          deep + '\n'})
        CHECK_THAT(server.ask(request), Contains("the request is no JSON object"));
}

TEST_CASE("a request without end is cut off", "[control]")
{
    const running_server server{{.request_bytes = 100, .clients = 4, .patience = 10s}};
    CHECK_THAT(server.ask(std::string(100000, ' ')), Contains("longer than 100 bytes"));
    CHECK_THAT(server.ask("{\"command\":\"status\"}\n"), Contains("result"));
}

// Goal: who connects and stays silent is disconnected. Method: the read ends without the deadline.
TEST_CASE("a silent client is disconnected", "[control]")
{
    const running_server server{{.request_bytes = 100, .clients = 4, .patience = 50ms}};
    CHECK(server.ask("").empty());
    CHECK(server.ask("{\"command\"").empty());
}

// Goal: a client that asks and never reads cannot hold the server.
TEST_CASE("a client that does not read its replies is disconnected", "[control]")
{
    const running_server server{{.request_bytes = 4096, .clients = 4, .patience = 200ms}};
    const auto socket = connect_to(server.path());
    std::string many;
    for (int i = 0; i < 100000; ++i)
        many += "{\"command\":\"status\"}\n";
    send_text(socket, many); // returns early, because the server hangs up
    CHECK(::send(socket.get(), "x", 1, MSG_NOSIGNAL) == -1);
    CHECK(errno == EPIPE);
    CHECK_THAT(server.ask("{\"command\":\"status\"}\n"), Contains("result"));
}

TEST_CASE("more clients than the limit are turned away with a reason", "[control]")
{
    const running_server server{{.request_bytes = 4096, .clients = 2, .patience = 10s}};
    const auto first = connect_to(server.path());
    const auto second = connect_to(server.path());
    send_text(first, "{\"command\":\"reload\"}\n");
    send_text(second, "{\"command\":\"reload\"}\n");
    CHECK(receive_line(first) == "{\"result\":\"reloaded\"}");
    CHECK(receive_line(second) == "{\"result\":\"reloaded\"}");
    CHECK_THAT(server.ask(""), Contains("too many clients"));
}

TEST_CASE("stopping the server ends its clients", "[control]")
{
    running_server server;
    const auto client = connect_to(server.path());
    send_text(client, "{\"command\":\"reload\"}\n");
    CHECK(receive_line(client) == "{\"result\":\"reloaded\"}");
    server.stop();
    CHECK(receive_line(client).empty());
    CHECK_FALSE(connect_to(server.path()));
}

TEST_CASE("root, the daemon's user and the socket's group may ask", "[control]")
{
    using control::may_ask;
    CHECK(may_ask({.user = 0, .groups = {}}, 500, std::nullopt));
    CHECK(may_ask({.user = 500, .groups = {}}, 500, std::nullopt));
    CHECK(may_ask({.user = 501, .groups = {100, 42}}, 500, 42));
    CHECK_FALSE(may_ask({.user = 501, .groups = {100}}, 500, 42));
    CHECK_FALSE(may_ask({.user = 501, .groups = {42}}, 500, std::nullopt));
}

// Goal: the kernel's word on the peer is what counts. Method: a child gives up root and asks
// through a socket file that everybody may open.
TEST_CASE("a stranger is refused although the socket file lets him in", "[control]")
{
    REQUIRE(::geteuid() == 0); // the tests make namespaces, so they run as root
    const running_server server;
    const auto ask_as = [&](uid_t user, std::vector<gid_t> groups) {
        const pid_t child = ::fork();
        if (child == 0) {
            const bool changed = ::setgroups(groups.size(), groups.data()) == 0 &&
                                 ::setresgid(65534, 65534, 65534) == 0 &&
                                 ::setresuid(user, user, user) == 0;
            const auto reply = changed ? server.ask("{\"command\":\"status\"}\n") : "";
            ::_exit(reply.starts_with("{\"result\"")                            ? 1
                    : reply.find("permission denied for user id") != reply.npos ? 2
                                                                                : 3);
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        return WEXITSTATUS(status);
    };
    CHECK(ask_as(65534, {}) == 2);
    CHECK(ask_as(65534, {0}) == 1); // the socket's group is root here
}
