// SPDX-License-Identifier: Apache-2.0
#include "proxy/kernel/mptcp_socket.hpp"
#include "tests/support/loopback.hpp"

#include <catch2/catch.hpp>
#include <netinet/in.h>
#include <unistd.h>

using namespace manypath;
using namespace manypath::kernel;

namespace {

struct socket_pair {
    unique_fd listener;
    unique_fd client;
    unique_fd server;
};

socket_pair connect_pair(protocol server, protocol client)
{
    socket_pair pair;
    pair.listener = test::listen_on_loopback(server, AF_INET);
    pair.client = test::connect_to(pair.listener.get(), client);
    pair.server = test::accept_from(pair.listener.get());
    return pair;
}

} // namespace

TEST_CASE("both ends of an MPTCP connection are told apart from TCP", "[kernel]")
{
    const auto pair = connect_pair(protocol::mptcp, protocol::mptcp);
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
    const auto pair = connect_pair(protocol::mptcp, protocol::mptcp);
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
    const auto pair = connect_pair(protocol::tcp, protocol::mptcp);
    const auto client = query_mptcp(pair.client.get());
    CHECK(client.opened_as_mptcp);
    CHECK_FALSE(client.speaks_mptcp);
    CHECK(client.subflows.empty());
    CHECK_FALSE(query_mptcp(pair.server.get()).opened_as_mptcp);
}

TEST_CASE("a TCP client of an MPTCP listener stays TCP", "[kernel]")
{
    const auto pair = connect_pair(protocol::mptcp, protocol::tcp);
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
