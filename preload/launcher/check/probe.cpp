// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/check/probe.hpp"

#include "proxy/kernel/mptcp_socket.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <netinet/tcp.h>
#include <thread>

namespace manypath::launcher {

namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;

/// The first keep-alive probe goes out after the shortest idle time there is, one second.
constexpr int keepalive_idle_seconds = 1;
constexpr auto patience = 2'000ms;
constexpr auto pause = 20ms;

void ask_for_keepalive(int fd)
{
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &keepalive_idle_seconds,
                 sizeof keepalive_idle_seconds);
}

kernel::mptcp_status wait_for_subflows(int fd, std::size_t wanted)
{
    const auto deadline = steady_clock::now() + patience;
    kernel::mptcp_status status = kernel::query_mptcp(fd);
    while (status.speaks_mptcp && status.subflows.size() < wanted &&
           steady_clock::now() < deadline) {
        std::this_thread::sleep_for(pause);
        status = kernel::query_mptcp(fd);
    }
    return status;
}

std::string host_part(const sockaddr_storage& address)
{
    if (address.ss_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &address, sizeof v6);
        return to_text(ip_address{v6.sin6_addr});
    }
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    return to_text(ip_address{v4.sin_addr});
}

} // namespace

probe_facts probe(const dial_target& target, const std::vector<socket_address>& addresses,
                  std::size_t wanted_subflows)
{
    probe_facts facts;
    facts.host = target.host;
    facts.port = target.port;
    const mptcp_counters before = read_counters();
    const auto connection = dial(target, addresses);
    if (!connection) {
        facts.failure = connection.error();
        return facts;
    }
    facts.peer = to_text(connection->peer.storage);
    if (connection->mptcp_refused)
        facts.refused = connection->mptcp_refused->value();
    const int fd = connection->socket.get();
    ask_for_keepalive(fd);
    const auto status = wait_for_subflows(fd, wanted_subflows);
    facts.speaks_mptcp = status.speaks_mptcp;
    for (const auto& subflow : status.subflows)
        facts.subflows.push_back(to_text(subflow.local) + " -> " + to_text(subflow.remote));
    if (!status.subflows.empty())
        facts.local = host_part(status.subflows.front().local);
    facts.grown = growth(before, read_counters());
    return facts;
}

} // namespace manypath::launcher
