// SPDX-License-Identifier: Apache-2.0
#include "proxy/kernel/kernel_acceptor.hpp"

#include "common/base/mptcp_abi.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cerrno>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <utility>

namespace manypath::kernel {

namespace {

/// How many connections are taken before the thread's other work gets its turn.
constexpr unsigned most_in_a_row = 32;

protocol protocol_of(int fd) noexcept
{
    int number = 0;
    socklen_t size = sizeof number;
    const bool known = ::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &number, &size) == 0;
    return known && number == abi::ipproto_mptcp ? protocol::mptcp : protocol::tcp;
}

/// A connection that died in the backlog, or an error of the network that accept(2) passes on:
/// the next one may be fine.
bool concerns_one_connection(int error) noexcept
{
    switch (error) {
    case EINTR:
    case ECONNABORTED:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case EPERM: // a firewall's verdict
        return true;
    default:
        return false;
    }
}

void set_no_delay(int fd) noexcept
{
    constexpr int on = 1;
    static_cast<void>(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
}

} // namespace

kernel_acceptor::kernel_acceptor(const executor& runs, unique_fd socket)
    : runs_(runs), socket_(runs), handle_(socket.get()), speaks_(protocol_of(handle_))
{
    socket_.assign(handle_); // throws where the event loop refuses it
    static_cast<void>(socket.release());
    ::fcntl(handle_, F_SETFL, ::fcntl(handle_, F_GETFL) | O_NONBLOCK);
    set_no_delay(handle_); // TCP connections inherit it
}

std::unique_ptr<stream> kernel_acceptor::take(error_code& ec)
{
    sockaddr_storage peer{};
    int fd = -1;
    do {
        socklen_t size = sizeof peer;
        fd = ::accept4(handle_, reinterpret_cast<sockaddr*>(&peer), &size,
                       SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (fd < 0 && concerns_one_connection(errno));
    if (fd < 0) {
        const int error = errno == ENFILE ? EMFILE : errno;
        ec = error == EAGAIN ? error_code{asio::error::would_block} : system_error(error);
        return nullptr;
    }
    protocol asked = protocol::tcp;
    if (speaks_ == protocol::mptcp) {
        asked = protocol_of(fd); // TCP for a client that did not offer MPTCP
        set_no_delay(fd);
    }
    descriptor accepted = watch(runs_, unique_fd{fd}, ec);
    if (ec)
        return nullptr;
    return std::make_unique<kernel_stream>(std::move(accepted), asked, to_endpoint(peer));
}

asio::awaitable<std::unique_ptr<stream>> kernel_acceptor::accept(error_code& ec)
{
    if (++taken_in_a_row_ > most_in_a_row) {
        taken_in_a_row_ = 0;
        co_await asio::post(runs_, asio::use_awaitable);
    }
    while (handle_ >= 0) {
        auto taken = take(ec);
        if (ec != asio::error::would_block)
            co_return taken;
        taken_in_a_row_ = 0;
        co_await socket_.async_wait(descriptor::wait_read,
                                    asio::redirect_error(asio::use_awaitable, ec));
        if (ec)
            co_return nullptr;
    }
    ec = asio::error::operation_aborted;
    co_return nullptr;
}

void kernel_acceptor::close() noexcept
{
    handle_ = -1;
    error_code ignored; // the descriptor is gone whatever close(2) says
    socket_.close(ignored);
}

endpoint kernel_acceptor::local() const
{
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(handle_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        return {};
    return to_endpoint(address);
}

} // namespace manypath::kernel
