// fallback.cpp: what was remembered reaches the kernel when the connection turns out to be TCP.
// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include <cerrno>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include "common/base/mptcp_abi.hpp"
#include "tests/preload/subject.hpp"

using namespace manypath;
using namespace manypath::test;

namespace {

constexpr int timeout_ms = 4711;

void set_user_timeout(int fd, int value = timeout_ms)
{
    checked(::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof(value)), "setsockopt");
}

/// What the kernel says itself: minus EOPNOTSUPP while the connection speaks MPTCP.
int kernel_user_timeout(int fd)
{
    return kernel::option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT);
}

int user_timeout(int fd)
{
    int value = 0;
    socklen_t length = sizeof(value);
    checked(::getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, &length), "getsockopt");
    return value;
}

unique_fd accept_from(int listener)
{
    return unique_fd{checked(::accept(listener, nullptr, nullptr), "accept")};
}

void wait_until_writable(int fd)
{
    pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
    REQUIRE(poll(&ready, 1, 10'000) == 1);
}

} // namespace

TEST_CASE("a blocking connect to a TCP-only peer takes the remembered options along", "[preload]")
{
    const int family = GENERATE(AF_INET, AF_INET6);
    const unique_fd listener = listen_on_loopback(opener::plain, family);
    const unique_fd client = open_stream(opener::wrapped, family);
    set_user_timeout(client.get());
    const int hops = 17;
    const bool v6 = family == AF_INET6;
    const int level = v6 ? int{IPPROTO_IPV6} : int{IPPROTO_IP};
    const int name = v6 ? IPV6_UNICAST_HOPS : IP_TTL;
    checked(::setsockopt(client.get(), level, name, &hops, sizeof(hops)), "setsockopt");
    CHECK(kernel_user_timeout(client.get()) == -EOPNOTSUPP);
    errno = E2BIG;
    REQUIRE(connect_to(client.get(), listener.get()) == 0);
    CHECK(errno == E2BIG);
    CHECK(kernel_user_timeout(client.get()) == timeout_ms);
    CHECK(kernel::option(client.get(), level, name) == hops);
    CHECK(user_timeout(client.get()) == timeout_ms);
}

TEST_CASE("a non-blocking connect takes them along when the program asks how it ended", "[preload]")
{
    const unique_fd listener = listen_on_loopback(opener::plain, AF_INET);
    const unique_fd client = open_stream(opener::wrapped, AF_INET, SOCK_NONBLOCK);
    set_user_timeout(client.get());
    const int result = connect_to(client.get(), listener.get());
    REQUIRE((result == 0 || errno == EINPROGRESS));
    wait_until_writable(client.get());
    SECTION("by SO_ERROR")
    {
        int error = -1;
        socklen_t length = sizeof(error);
        REQUIRE(::getsockopt(client.get(), SOL_SOCKET, SO_ERROR, &error, &length) == 0);
        CHECK(error == 0);
    }
    SECTION("by connecting again")
    {
        const int again = connect_to(client.get(), listener.get());
        CHECK((again == 0 || errno == EISCONN));
    }
    SECTION("by any other option")
    {
        const int on = 1;
        CHECK(::setsockopt(client.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == 0);
    }
    CHECK(kernel_user_timeout(client.get()) == timeout_ms);
}

TEST_CASE("an option set again after the fallback keeps its newer value", "[preload]")
{
    const unique_fd listener = listen_on_loopback(opener::plain, AF_INET);
    const unique_fd client = open_stream(opener::wrapped, AF_INET, SOCK_NONBLOCK);
    set_user_timeout(client.get(), 1111);
    static_cast<void>(connect_to(client.get(), listener.get()));
    wait_until_writable(client.get());
    set_user_timeout(client.get(), 2222);
    CHECK(user_timeout(client.get()) == 2222);
    CHECK(kernel_user_timeout(client.get()) == 2222);
}

TEST_CASE("an option which stays refused after the fallback is still answered", "[preload]")
{
    const subject client = make_subject(opener::wrapped, state::fallen_back, AF_INET);
    const int on = 1;
    const int fd = client.fd.get();
    REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)) == 0);
    for (int repeat = 0; repeat < 3; ++repeat) {
        int value = 0;
        socklen_t length = sizeof(value);
        REQUIRE(::getsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &value, &length) == 0);
        CHECK(value == 1);
    }
}

TEST_CASE("what the kernel takes replaces what was remembered", "[preload]")
{
    const subject client = make_subject(opener::wrapped, state::connected, AF_INET);
    const int fd = client.fd.get();
    const auto reuse_address = [fd] {
        int value = -1;
        socklen_t length = sizeof(value);
        checked(::getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, &length), "getsockopt");
        return value;
    };
    int value = 1; // MPTCP refuses it while connected
    REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value)) == 0);
    CHECK(reuse_address() == 1);
    const sockaddr nobody{.sa_family = AF_UNSPEC, .sa_data = {}};
    REQUIRE(::connect(fd, &nobody, sizeof(nobody)) == 0);
    value = 0;
    REQUIRE(::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &value, sizeof(value)) == 0);
    CHECK(reuse_address() == 0);
}

TEST_CASE("a connection inherits its listener's options, as with TCP", "[preload]")
{
    const int family = GENERATE(AF_INET, AF_INET6);
    const unique_fd listener = listen_on_loopback(opener::wrapped, family);
    set_user_timeout(listener.get());
    SECTION("accepted from a TCP client, by the kernel")
    {
        const unique_fd client = open_stream(opener::plain, family);
        REQUIRE(connect_to(client.get(), listener.get()) == 0);
        const unique_fd accepted = accept_from(listener.get());
        CHECK(kernel_user_timeout(accepted.get()) == timeout_ms);
    }
    SECTION("accepted from an MPTCP client, by the library")
    {
        const unique_fd client = open_stream(opener::wrapped, family);
        REQUIRE(connect_to(client.get(), listener.get()) == 0);
        const unique_fd accepted = accept_from(listener.get());
        CHECK(kernel_user_timeout(accepted.get()) == -EOPNOTSUPP);
        CHECK(user_timeout(accepted.get()) == timeout_ms);
        CHECK(user_timeout(client.get()) == 0);
    }
}

TEST_CASE("a copy of the descriptor shares the options, a new socket does not", "[preload]")
{
    unique_fd original = open_stream(opener::wrapped, AF_INET);
    set_user_timeout(original.get());
    const unique_fd copy{checked(dup(original.get()), "dup")};
    CHECK(user_timeout(copy.get()) == timeout_ms);
    const int number = original.get();
    original.reset();
    CHECK(user_timeout(copy.get()) == timeout_ms);
    const unique_fd reused = open_stream(opener::wrapped, AF_INET);
    REQUIRE(reused.get() == number);
    CHECK(user_timeout(reused.get()) == 0);
}

// Goal: a program with more sockets than the table has room for loses old options, never an answer.
TEST_CASE("ten thousand sockets in turn keep the newest options", "[preload]")
{
    const unique_fd oldest = open_stream(opener::wrapped, AF_INET);
    set_user_timeout(oldest.get());
    for (int i = 0; i < 10'000; ++i) {
        const unique_fd next = open_stream(opener::wrapped, AF_INET);
        set_user_timeout(next.get(), i + 1);
        REQUIRE(user_timeout(next.get()) == i + 1);
    }
    CHECK(user_timeout(oldest.get()) == 0);
}
