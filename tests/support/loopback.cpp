// SPDX-License-Identifier: Apache-2.0
#include "tests/support/loopback.hpp"

#include "common/base/mptcp_abi.hpp"

#include <cerrno>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <system_error>

namespace manypath::test {

namespace {

int checked(int result, const char* what)
{
    if (result < 0)
        throw std::system_error{errno, std::system_category(), what};
    return result;
}

unique_fd open_socket(int family, protocol speak, int flags)
{
    const int number = speak == protocol::mptcp ? abi::ipproto_mptcp : IPPROTO_TCP;
    return unique_fd{
        checked(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | flags, number), "socket")};
}

struct bound_address {
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    sockaddr* generic() { return reinterpret_cast<sockaddr*>(&storage); }
};

bound_address name_of(int socket)
{
    bound_address address;
    checked(::getsockname(socket, address.generic(), &address.size), "getsockname");
    return address;
}

} // namespace

unique_fd listen_on_loopback(protocol speak, int family)
{
    unique_fd listener = open_socket(family, speak, 0);
    bound_address address;
    address.storage.ss_family = static_cast<sa_family_t>(family);
    if (family == AF_INET6)
        reinterpret_cast<sockaddr_in6&>(address.storage).sin6_addr = in6addr_loopback;
    else
        reinterpret_cast<sockaddr_in&>(address.storage).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.size = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    checked(::bind(listener.get(), address.generic(), address.size), "bind");
    checked(::listen(listener.get(), SOMAXCONN), "listen");
    return listener;
}

unique_fd connect_to(int listener, protocol speak)
{
    bound_address address = name_of(listener);
    unique_fd socket = open_socket(address.storage.ss_family, speak, 0);
    checked(::connect(socket.get(), address.generic(), address.size), "connect");
    return socket;
}

unique_fd accept_from(int listener)
{
    return unique_fd{checked(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC), "accept")};
}

std::vector<unique_fd> fill_backlog(int listener)
{
    constexpr int answer_within_ms = 200; // loopback answers in microseconds
    bound_address address = name_of(listener);
    std::vector<unique_fd> connected;
    for (;;) {
        unique_fd next = open_socket(address.storage.ss_family, protocol::tcp, SOCK_NONBLOCK);
        static_cast<void>(::connect(next.get(), address.generic(), address.size));
        pollfd answered{.fd = next.get(), .events = POLLOUT, .revents = 0};
        if (::poll(&answered, 1, answer_within_ms) == 0)
            return connected;
        connected.push_back(std::move(next));
    }
}

} // namespace manypath::test
