// SPDX-License-Identifier: Apache-2.0
#include "proxy/kernel/kernel_connector.hpp"

#include "proxy/kernel/mptcp_socket.hpp"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <netinet/tcp.h>
#include <utility>

namespace manypath::kernel {

namespace {

error_code set_option(int fd, int level, int name) noexcept
{
    constexpr int on = 1;
    return ::setsockopt(fd, level, name, &on, sizeof on) == 0 ? error_code{} : system_error(errno);
}

unique_fd open_socket(int family, protocol speak, error_code& ec)
{
    ec.clear();
    if (speak == protocol::tcp) {
        unique_fd socket{::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
        if (!socket)
            ec = system_error(errno);
        return socket;
    }
    const auto opened = open_mptcp_socket(family);
    if (opened)
        return unique_fd{*opened};
    ec = refuses_mptcp(opened.error()) ? system_error(EPROTONOSUPPORT)
                                       : system_error(opened.error().value());
    return {};
}

/// The address may be a client's: that takes IP_TRANSPARENT, which is refused without
/// CAP_NET_RAW. One of this host's own addresses works nevertheless, so bind(2) decides.
error_code bind_source(int fd, const endpoint& source)
{
    const bool v6 = source.address().is_v6();
    static_cast<void>(v6 ? set_option(fd, IPPROTO_IPV6, IPV6_TRANSPARENT)
                         : set_option(fd, IPPROTO_IP, IP_TRANSPARENT));
    // The port is chosen by connect(2), which knows the destination: 64k ports for each of them.
    static_cast<void>(set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT));
    const bool bound = ::bind(fd, source.data(), static_cast<socklen_t>(source.size())) == 0;
    return bound ? error_code{} : system_error(errno);
}

error_code pending_error(int fd) noexcept
{
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    return error == 0 ? error_code{} : system_error(error);
}

} // namespace

asio::awaitable<std::unique_ptr<stream>>
kernel_connector::connect(endpoint to, connect_options options, error_code& ec)
{
    unique_fd socket = open_socket(to.protocol().family(), options.speak, ec);
    if (!ec)
        ec = set_option(socket.get(), IPPROTO_TCP, TCP_NODELAY);
    if (!ec && options.source)
        ec = bind_source(socket.get(), *options.source);
    if (ec)
        co_return nullptr;
    if (::connect(socket.get(), to.data(), static_cast<socklen_t>(to.size())) != 0 &&
        errno != EINPROGRESS) {
        ec = system_error(errno);
        co_return nullptr;
    }
    descriptor pending = watch(runs_, std::move(socket), ec);
    if (!ec)
        co_await pending.async_wait(descriptor::wait_write,
                                    asio::redirect_error(asio::use_awaitable, ec));
    if (!ec)
        ec = pending_error(pending.native_handle());
    if (ec)
        co_return nullptr;
    co_return std::make_unique<kernel_stream>(std::move(pending), options.speak, to);
}

} // namespace manypath::kernel
