// SPDX-License-Identifier: Apache-2.0
#include "tests/preload/subject.hpp"

#include <cerrno>
#include <system_error>

#include <netinet/in.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace manypath::test {

namespace kernel {

int socket(int family, int type, int protocol)
{
    return static_cast<int>(syscall(SYS_socket, family, type, protocol));
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t length)
{
    return static_cast<int>(syscall(SYS_setsockopt, fd, level, name, value, length));
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* length)
{
    return static_cast<int>(syscall(SYS_getsockopt, fd, level, name, value, length));
}

int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t length = sizeof(value);
    return getsockopt(fd, level, name, &value, &length) == 0 ? value : -errno;
}

std::uint64_t cookie(int fd)
{
    std::uint64_t value = 0;
    socklen_t length = sizeof(value);
    checked(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &value, &length), "SO_COOKIE");
    return value;
}

} // namespace kernel

namespace {

struct bound_address {
    sockaddr_storage storage{};
    socklen_t size = sizeof(storage);
    sockaddr* generic() { return reinterpret_cast<sockaddr*>(&storage); }
};

bound_address loopback(int family)
{
    bound_address result;
    result.storage.ss_family = static_cast<sa_family_t>(family);
    result.size = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
    if (family == AF_INET6)
        reinterpret_cast<sockaddr_in6&>(result.storage).sin6_addr = in6addr_loopback;
    else
        reinterpret_cast<sockaddr_in&>(result.storage).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return result;
}

void bind_to_loopback(int fd, int family)
{
    bound_address address = loopback(family);
    checked(bind(fd, address.generic(), address.size), "bind");
}

void reset_on_close(int fd)
{
    const linger reset{.l_onoff = 1, .l_linger = 0};
    checked(kernel::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), "SO_LINGER");
}

} // namespace

int checked(int result, const char* what)
{
    if (result < 0)
        throw std::system_error{errno, std::system_category(), what};
    return result;
}

std::string name_of(state value)
{
    switch (value) {
    case state::unconnected:
        return "unconnected";
    case state::bound:
        return "bound";
    case state::listening:
        return "listening";
    case state::connected:
        return "connected";
    case state::fallen_back:
        return "fallen back";
    case state::accepted:
        return "accepted";
    }
    return {};
}

unique_fd open_stream(opener by, int family, int flags)
{
    const int type = SOCK_STREAM | SOCK_CLOEXEC | flags;
    return unique_fd{checked(by == opener::wrapped ? ::socket(family, type, 0)
                                                   : kernel::socket(family, type, IPPROTO_TCP),
                             "socket")};
}

unique_fd listen_on_loopback(opener by, int family)
{
    unique_fd listener = open_stream(by, family);
    bind_to_loopback(listener.get(), family);
    checked(listen(listener.get(), SOMAXCONN), "listen");
    return listener;
}

int connect_to(int fd, int listener)
{
    bound_address address;
    checked(getsockname(listener, address.generic(), &address.size), "getsockname");
    return ::connect(fd, address.generic(), address.size);
}

subject make_subject(opener by, state wanted, int family)
{
    subject result;
    if (wanted == state::listening) {
        result.fd = listen_on_loopback(by, family);
        return result;
    }
    result.fd = open_stream(by, family);
    if (wanted == state::unconnected)
        return result;
    if (wanted == state::bound) {
        bind_to_loopback(result.fd.get(), family);
        return result;
    }
    unique_fd listener =
        listen_on_loopback(wanted == state::fallen_back ? opener::plain : by, family);
    checked(connect_to(result.fd.get(), listener.get()), "connect");
    unique_fd peer{checked(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC), "accept")};
    reset_on_close(result.fd.get());
    reset_on_close(peer.get());
    if (wanted == state::accepted)
        std::swap(result.fd, peer);
    result.others.push_back(std::move(listener));
    result.others.push_back(std::move(peer));
    return result;
}

} // namespace manypath::test
