// sockets.hpp: blocking sockets for the benchmarks' small programs, which exit on any failure.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "common/base/mptcp_abi.hpp"
#include "proxy/async/unique_fd.hpp"

#include <arpa/inet.h>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace manypath::bench {

inline int checked(int result, const char* what)
{
    if (result < 0) {
        std::perror(what);
        std::exit(1);
    }
    return result;
}

inline sockaddr_in address_of(const char* ip, const char* port)
{
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)));
    checked(::inet_pton(AF_INET, ip, &address.sin_addr) - 1, "address");
    return address;
}

inline unique_fd open_socket(bool mptcp, int flags = 0)
{
    const int protocol = mptcp ? abi::ipproto_mptcp : 0;
    unique_fd made{checked(::socket(AF_INET, SOCK_STREAM | flags, protocol), "socket")};
    constexpr int on = 1;
    ::setsockopt(made.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return made;
}

inline unique_fd listen_at(const sockaddr_in& address, bool mptcp)
{
    unique_fd listener = open_socket(mptcp);
    constexpr int on = 1;
    ::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    checked(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
            "bind");
    checked(::listen(listener.get(), 4096), "listen");
    return listener;
}

inline int connect_to(int socket, const sockaddr_in& address)
{
    return ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

} // namespace manypath::bench
