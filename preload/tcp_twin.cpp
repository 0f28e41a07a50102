// tcp_twin.cpp: makes the twin.
//
// SPDX-License-Identifier: Apache-2.0
#include "preload/tcp_twin.hpp"

#include <netinet/in.h>

#include "preload/connection.hpp"
#include "preload/system.hpp"

namespace manypath::preload {

namespace {

union socket_address {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
};

socket_address loopback(int family)
{
    socket_address result{.v6 = {}};
    if (family == AF_INET6) {
        result.v6.sin6_family = AF_INET6;
        result.v6.sin6_addr.s6_addr[15] = 1;
    } else {
        result.v4.sin_family = AF_INET;
        result.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    }
    return result;
}

bool own_address(int fd, socket_address& address)
{
    socklen_t length = sizeof(address);
    return raw::call(SYS_getsockname, fd, &address, &length) == 0;
}

bool has_port(int fd)
{
    socket_address own{.v6 = {}};
    // Both families keep the port in the same place.
    return own_address(fd, own) && own.v4.sin_port != 0;
}

} // namespace

tcp_twin::tcp_twin(int fd, const shadow_table::option_list& remembered)
{
    const int family = int_option(fd, SOL_SOCKET, SO_DOMAIN);
    fd_ = raw::open_socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
    if (fd_ < 0)
        return;
    take_state_of(fd, family);
    for (const socket_option& option : remembered)
        raw::set_option(fd_, option.level, option.name, option.value.data(), option.length_bytes);
}

tcp_twin::~tcp_twin()
{
    if (fd_ >= 0)
        raw::call(SYS_close, fd_);
}

void tcp_twin::take_state_of(int fd, int family) const
{
    const bool connected = is_connected(fd);
    const bool listening = int_option(fd, SOL_SOCKET, SO_ACCEPTCONN) == 1;
    if (!connected && !listening && !has_port(fd))
        return;
    // Without loopback the twin stays unconnected, which most options do not care about.
    socket_address address = loopback(family);
    const socklen_t length = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    if (raw::call(SYS_bind, fd_, &address, length) != 0)
        return;
    if (listening)
        raw::call(SYS_listen, fd_, 1);
    if (!connected || !own_address(fd_, address))
        return;
    // Connecting to itself leaves one end, and resetting it on close leaves no TIME-WAIT.
    const linger reset{.l_onoff = 1, .l_linger = 0};
    raw::set_option(fd_, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    raw::call(SYS_connect, fd_, &address, length);
}

} // namespace manypath::preload
