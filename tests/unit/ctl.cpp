// ctl.cpp: manypathctl's tables are aligned and its errors say what to do.
// SPDX-License-Identifier: Apache-2.0
#include "proxy/async/unique_fd.hpp"
#include "proxy/ctl/client.hpp"
#include "proxy/ctl/table.hpp"
#include "proxy/ctl/views.hpp"

#include <boost/json/value.hpp>
#include <catch2/catch.hpp>
#include <filesystem>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <thread>

using namespace manypath;
using Catch::Matchers::Contains;
using std::chrono::seconds;

namespace {

endpoint at(const char* address, std::uint16_t port)
{
    return {asio::ip::make_address(address), port};
}

/// A listening socket in a directory of its own, without anybody who answers.
class listening_socket {
public:
    listening_socket()
    {
        char name[] = "/tmp/manypath-ctl-XXXXXX";
        directory_ = ::mkdtemp(name);
        socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        path().copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                       sizeof address) == 0);
        REQUIRE(::listen(socket_.get(), 1) == 0);
    }
    listening_socket(const listening_socket&) = delete;
    listening_socket& operator=(const listening_socket&) = delete;
    ~listening_socket() { std::filesystem::remove_all(directory_); }

    [[nodiscard]] std::string path() const { return directory_ + "/control.sock"; }
    void close() { socket_.reset(); }

    /// What `ask` makes of a daemon that sends `reply` and hangs up.
    [[nodiscard]] std::expected<boost::json::value, std::string> ask(std::string_view reply) const
    {
        const std::jthread daemon{[&] {
            const unique_fd client{::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
            std::array<char, 100> request{};
            if (::recv(client.get(), request.data(), request.size(), 0) > 0)
                ::send(client.get(), reply.data(), reply.size(), MSG_NOSIGNAL);
        }};
        return ctl::ask(path(), "status", seconds{20});
    }

private:
    std::string directory_;
    unique_fd socket_;
};

} // namespace

TEST_CASE("columns are as wide as their widest cell and no line ends in spaces", "[ctl]")
{
    ctl::table t{{{"NAME", ctl::align::left}, {"BYTES", ctl::align::right}, {"TO", {}}}};
    CHECK(t.text() == "NAME  BYTES  TO\n");
    t.add({"a", "1", ""});
    t.add({"longer", "1234567", "x"});
    CHECK(t.text() == "NAME      BYTES  TO\n"
                      "a             1\n"
                      "longer  1234567  x\n");
}

TEST_CASE("a cell cannot write commands to the terminal", "[ctl]")
{
    ctl::table t{{{"TO", {}}, {"X", {}}}};
    t.add({"\x1b[2J\n\x7f\xc3\xa4", "y"});
    CHECK(t.text() == "TO       X\n?[2J??\xc3\xa4  y\n");
}

TEST_CASE("bytes are shown in the unit that fits", "[ctl]")
{
    CHECK(ctl::as_bytes(0) == "0 B");
    CHECK(ctl::as_bytes(1023) == "1023 B");
    CHECK(ctl::as_bytes(1024) == "1.0 KiB");
    CHECK(ctl::as_bytes(1048575) == "1.0 MiB");
    CHECK(ctl::as_bytes(5583457485) == "5.2 GiB");
    CHECK(ctl::as_bytes(18446744073709551615U) == "16.0 EiB");
}

TEST_CASE("durations are shown in their two largest units", "[ctl]")
{
    CHECK(ctl::as_duration(seconds{0}) == "0s");
    CHECK(ctl::as_duration(seconds{59}) == "59s");
    CHECK(ctl::as_duration(seconds{185}) == "3m 05s");
    CHECK(ctl::as_duration(seconds{7200}) == "2h 00m");
    CHECK(ctl::as_duration(seconds{93784}) == "1d 02h");
}

TEST_CASE("the status names the daemon and its listeners", "[ctl]")
{
    control::daemon_state s;
    s.version = "0.1.0";
    s.backend = "kernel";
    s.file = "/etc/manypath/manypathd.toml";
    s.uptime = seconds{61};
    s.threads = 2;
    s.connections = 1;
    s.connections_maximum = 8000;
    s.listeners.push_back({.name = "lan",
                           .mode = config::listen_mode::transparent,
                           .addresses = {at("0.0.0.0", 1081), at("::", 1081)},
                           .accept = protocol::tcp,
                           .dial = protocol::mptcp,
                           .accepted = 12,
                           .refused = 0,
                           .failed = 3,
                           .active = 1});
    CHECK(ctl::view(s) ==
          "version        0.1.0\n"
          "up             1m 01s\n"
          "backend        kernel\n"
          "configuration  /etc/manypath/manypathd.toml\n"
          "threads        2\n"
          "connections    1 of at most 8000\n"
          "accepting      yes\n"
          "fallbacks      0 destinations remembered as TCP only\n"
          "\n"
          "LISTENER  MODE         ACCEPT  DIAL   ACTIVE  ACCEPTED  REFUSED  FAILED  ADDRESSES\n"
          "lan       transparent  tcp     mptcp       1        12        0       3  0.0.0.0:1081, "
          "[::]:1081\n");
    s.accepting = false;
    s.backend = "tcp";
    s.listeners.clear();
    CHECK_THAT(ctl::view(s), Contains("no (draining or out of descriptors)") &&
                                 Contains("MPTCP is refused here") && Contains("No listeners."));
}

TEST_CASE("connections show both sides and what they negotiated", "[ctl]")
{
    control::connection_state c;
    c.listener = "lan";
    c.client = at("198.18.0.5", 41234);
    c.to = "198.18.2.2:443";
    c.server_side.asked = protocol::mptcp;
    c.server_side.negotiated = protocol::mptcp;
    c.server_side.subflows.resize(2);
    c.bytes_to_server = 2048;
    c.age = seconds{5};
    auto fallen = c;
    fallen.server_side = {};
    fallen.server_side.asked = protocol::mptcp;
    CHECK(ctl::view(std::vector{c, fallen}) ==
          "LISTENER  CLIENT            TO              CLIENT SIDE  SUBFLOWS  SERVER SIDE      "
          "SUBFLOWS  TO SERVER  TO CLIENT  AGE\n"
          "lan       198.18.0.5:41234  198.18.2.2:443  tcp                 -  mptcp            "
          "       2    2.0 KiB        0 B   5s\n"
          "lan       198.18.0.5:41234  198.18.2.2:443  tcp                 -  tcp (fell back)  "
          "       -    2.0 KiB        0 B   5s\n");
}

TEST_CASE("paths show their state and traffic", "[ctl]")
{
    control::path_state p;
    p.name = "fibre";
    p.interface = "wan0";
    p.up = true;
    p.addresses = {asio::ip::make_address("198.18.1.1")};
    p.flags = {.subflow = true, .backup = true};
    p.subflows = 4;
    p.received_bytes = 1048576;
    CHECK(ctl::view(std::vector{p}) ==
          "PATH   INTERFACE  STATE  FLAGS           SUBFLOWS  SENT  RECEIVED  ADDRESSES\n"
          "fibre  wan0       up     subflow,backup         4   0 B   1.0 MiB  198.18.1.1\n");
}

TEST_CASE("an empty table is a sentence", "[ctl]")
{
    CHECK(ctl::view(std::vector<control::connection_state>{}) == "No connections.\n");
    CHECK(ctl::view(std::vector<control::path_state>{}) ==
          "No paths. The configuration has no [[path]].\n");
}

TEST_CASE("a daemon that is not there gives an error with the remedy", "[ctl]")
{
    const auto missing = ctl::ask("/nonexistent/control.sock", "status", seconds{20});
    REQUIRE_FALSE(missing.has_value());
    CHECK_THAT(missing.error(), Contains("/nonexistent/control.sock") &&
                                    Contains("systemctl start manypathd") && Contains("--socket"));
    listening_socket stale;
    stale.close();
    const auto refused = ctl::ask(stale.path(), "status", seconds{20});
    REQUIRE_FALSE(refused.has_value());
    CHECK_THAT(refused.error(), Contains("the daemon is not running"));
    CHECK_FALSE(ctl::ask(std::string(200, 'x'), "status", seconds{20}).has_value());
    CHECK_FALSE(ctl::ask("", "status", seconds{20}).has_value());
}

// Goal: who may not open the socket learns which group he lacks. Method: a child gives up root.
TEST_CASE("a socket that may not be opened names user and group to take", "[ctl]")
{
    REQUIRE(::geteuid() == 0); // the tests make namespaces, so they run as root
    const listening_socket daemon;
    REQUIRE(::chmod(daemon.path().c_str(), 0600) == 0);
    REQUIRE(::chmod(std::filesystem::path{daemon.path()}.parent_path().c_str(), 0755) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const bool changed =
            ::setresgid(65534, 65534, 65534) == 0 && ::setresuid(65534, 65534, 65534) == 0;
        const auto answer = ctl::ask(daemon.path(), "status", seconds{20});
        const bool explained = !answer && answer.error().starts_with("permission denied on ") &&
                               answer.error().ends_with("member of the group root");
        ::_exit(changed && explained ? 42 : 1);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WEXITSTATUS(status) == 42);
}

TEST_CASE("a result is handed on and an error is quoted", "[ctl]")
{
    const listening_socket daemon;
    CHECK(daemon.ask("{\"result\":5}\n") == boost::json::value(5));
    CHECK(daemon.ask("{\"error\":\"not today\"}\n").error() == "not today");
}

TEST_CASE("an answer that is none is an error", "[ctl]")
{
    const listening_socket daemon;
    for (const char* reply : {"HTTP/1.1 400 Bad Request\r\n\n", "[]\n", "{}\n", "{\"error\":1}\n"})
        CHECK_THAT(daemon.ask(reply).error(), Contains("is no manypathd's"));
    CHECK_THAT(daemon.ask("{\"result\":").error(), Contains("closed the connection"));
}
