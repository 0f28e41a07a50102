// SPDX-License-Identifier: Apache-2.0
#include "proxy/async/unique_fd.hpp"
#include "proxy/kernel/mptcp_socket.hpp"

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <poll.h>
#include <unistd.h>

using namespace manypath;
using namespace manypath::kernel;

namespace {

constexpr int protocol_tcp = IPPROTO_TCP;
constexpr int protocol_mptcp = 262;

struct socket_pair {
    unique_fd listener;
    unique_fd client;
    unique_fd server;
};

/// A connection over loopback between two sockets of the given protocols.
socket_pair connect_pair(int server_protocol, int client_protocol)
{
    socket_pair pair;
    pair.listener.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, server_protocol));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(pair.listener.get(), generic, sizeof address) == 0);
    REQUIRE(::listen(pair.listener.get(), 1) == 0);
    socklen_t size = sizeof address;
    REQUIRE(::getsockname(pair.listener.get(), generic, &size) == 0);
    pair.client.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, client_protocol));
    REQUIRE(::connect(pair.client.get(), generic, sizeof address) == 0);
    pair.server.reset(::accept4(pair.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    REQUIRE(pair.server);
    return pair;
}

} // namespace

TEST_CASE("both ends of an MPTCP connection are told apart from TCP", "[kernel]")
{
    const auto pair = connect_pair(protocol_mptcp, protocol_mptcp);
    for (const int fd : {pair.client.get(), pair.server.get()}) {
        const auto status = query_mptcp(fd);
        CHECK(status.opened_as_mptcp);
        CHECK(status.speaks_mptcp);
        CHECK(status.token != 0);
        CHECK(status.subflows.size() == 1);
    }
}

// Goal: bytes per subflow are those of that subflow. Method: send an odd number and see it.
TEST_CASE("a subflow shows its addresses and its bytes", "[kernel]")
{
    const auto pair = connect_pair(protocol_mptcp, protocol_mptcp);
    const std::vector<char> data(12'345);
    REQUIRE(::write(pair.client.get(), data.data(), data.size()) == 12'345);
    std::vector<char> arrived(data.size());
    REQUIRE(::recv(pair.server.get(), arrived.data(), arrived.size(), MSG_WAITALL) == 12'345);
    const auto status = query_mptcp(pair.server.get());
    REQUIRE(status.subflows.size() == 1);
    CHECK(status.subflows[0].bytes_received == 12'345);

    sockaddr_in local{};
    socklen_t size = sizeof local;
    REQUIRE(::getsockname(pair.server.get(), reinterpret_cast<sockaddr*>(&local), &size) == 0);
    const auto& seen = reinterpret_cast<const sockaddr_in&>(status.subflows[0].local);
    CHECK(seen.sin_family == AF_INET);
    CHECK(seen.sin_port == local.sin_port);
    CHECK(seen.sin_addr.s_addr == local.sin_addr.s_addr);
}

TEST_CASE("a fallback shows as opened for MPTCP but not speaking it", "[kernel]")
{
    const auto pair = connect_pair(protocol_tcp, protocol_mptcp);
    const auto client = query_mptcp(pair.client.get());
    CHECK(client.opened_as_mptcp);
    CHECK_FALSE(client.speaks_mptcp);
    CHECK(client.subflows.empty());
    CHECK_FALSE(query_mptcp(pair.server.get()).opened_as_mptcp);
}

TEST_CASE("a TCP client of an MPTCP listener stays TCP", "[kernel]")
{
    const auto pair = connect_pair(protocol_mptcp, protocol_tcp);
    CHECK_FALSE(query_mptcp(pair.server.get()).opened_as_mptcp);
    CHECK_FALSE(query_mptcp(pair.server.get()).speaks_mptcp);
}

TEST_CASE("a descriptor that is no socket speaks nothing", "[kernel]")
{
    const auto status = query_mptcp(STDIN_FILENO);
    CHECK_FALSE(status.opened_as_mptcp);
    CHECK_FALSE(status.speaks_mptcp);
}

TEST_CASE("only the errors of a kernel without MPTCP count as refusal", "[kernel]")
{
    for (const int refusal : {EINVAL, EPROTONOSUPPORT, ENOPROTOOPT, EPERM, EACCES})
        CHECK(refuses_mptcp({refusal, std::system_category()}));
    for (const int other : {EMFILE, ENFILE, ENOMEM, ENOBUFS})
        CHECK_FALSE(refuses_mptcp({other, std::system_category()}));
    CHECK_FALSE(refuses_mptcp({}));
}
