// SPDX-License-Identifier: Apache-2.0
#include "proxy/kernel/kernel_stream.hpp"

#include "proxy/kernel/mptcp_socket.hpp"

#include <cerrno>
#include <poll.h>
#include <utility>

namespace manypath::kernel {

namespace {

/// A read or write whose connection is over. MPTCP says ENOTCONN where TCP says ECONNRESET:
/// after MP_FASTCLOSE whose error somebody else has taken, and after net.mptcp.close_timeout.
error_code stream_error(int number) noexcept
{
    if (number == EAGAIN)
        return asio::error::would_block;
    if (number == ENOTCONN || number == EPIPE)
        return asio::error::connection_reset;
    return system_error(number);
}

/// Asio's wait for errors ends for urgent data and for POLLHUP too. The latter also says that
/// both sides have sent FIN, with bytes still to be read: that is no hang-up.
error_code hang_up(int fd) noexcept
{
    pollfd state{.fd = fd, .events = 0, .revents = 0};
    if (::poll(&state, 1, 0) == 1 && (state.revents & POLLERR) != 0)
        return asio::error::connection_reset;
    return {};
}

subflow_info to_subflow(const subflow_status& status)
{
    return {.local = to_endpoint(status.local),
            .remote = to_endpoint(status.remote),
            .sent_bytes = status.bytes_acked,
            .received_bytes = status.bytes_received,
            .round_trip = std::chrono::microseconds{status.round_trip_us}};
}

} // namespace

error_code system_error(int number) noexcept
{
    return {number, boost::system::system_category()};
}

endpoint to_endpoint(const sockaddr_storage& address)
{
    endpoint result;
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        result.address(asio::ip::address_v4{ntohl(v4.sin_addr.s_addr)});
        result.port(ntohs(v4.sin_port));
    } else if (address.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        asio::ip::address_v6::bytes_type bytes;
        std::copy_n(std::begin(v6.sin6_addr.s6_addr), bytes.size(), bytes.begin());
        const asio::ip::address_v6 ip{bytes, v6.sin6_scope_id};
        if (ip.is_v4_mapped())
            result.address(asio::ip::make_address_v4(asio::ip::v4_mapped, ip));
        else
            result.address(ip);
        result.port(ntohs(v6.sin6_port));
    }
    return result;
}

descriptor watch(const executor& runs, unique_fd socket, error_code& ec)
{
    descriptor result{runs};
    result.assign(socket.get(), ec);
    if (!ec)
        static_cast<void>(socket.release());
    return result;
}

kernel_stream::kernel_stream(descriptor socket, protocol asked, const endpoint& remote)
    : socket_(std::move(socket)), handle_(socket_.native_handle()), asked_(asked), remote_(remote)
{
}

void kernel_stream::async_wait(readiness what, ready_handler handler)
{
    switch (what) {
    case readiness::readable:
        socket_.async_wait(descriptor::wait_read, std::move(handler));
        return;
    case readiness::writable:
        socket_.async_wait(descriptor::wait_write, std::move(handler));
        return;
    case readiness::hang_up:
        socket_.async_wait(descriptor::wait_error,
                           [fd = handle_, handler = std::move(handler)](error_code ec) mutable {
                               handler(ec ? ec : hang_up(fd));
                           });
        return;
    }
}

std::size_t kernel_stream::read_some(std::span<std::byte> buffer, error_code& ec)
{
    const ssize_t count = ::recv(handle_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (count > 0) {
        ec.clear();
        return static_cast<std::size_t>(count);
    }
    ec = count == 0 ? error_code{asio::error::eof} : stream_error(errno);
    return 0;
}

std::size_t kernel_stream::write_some(std::span<const std::byte> data, error_code& ec)
{
    const ssize_t count = ::send(handle_, data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
        ec.clear();
        return static_cast<std::size_t>(count);
    }
    ec = stream_error(errno);
    return 0;
}

void kernel_stream::shutdown_send(error_code& ec)
{
    ec = ::shutdown(handle_, SHUT_WR) == 0 ? error_code{} : stream_error(errno);
}

void kernel_stream::abort() noexcept
{
    constexpr linger at_once{.l_onoff = 1, .l_linger = 0};
    if (handle_ >= 0)
        static_cast<void>(::setsockopt(handle_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
    close();
}

void kernel_stream::close() noexcept
{
    handle_ = -1;
    error_code ignored; // the descriptor is gone whatever close(2) says
    socket_.close(ignored);
}

endpoint kernel_stream::local() const
{
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(handle_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        return {};
    return to_endpoint(address);
}

connection_info kernel_stream::info() const
{
    connection_info result{
        .asked = asked_, .negotiated = protocol::tcp, .token = 0, .subflows = {}};
    if (asked_ == protocol::tcp)
        return result;
    const mptcp_status status = query_mptcp(handle_);
    if (status.speaks_mptcp)
        result.negotiated = protocol::mptcp;
    result.token = status.token;
    result.subflows.reserve(status.subflows.size());
    for (const auto& subflow : status.subflows)
        result.subflows.push_back(to_subflow(subflow));
    return result;
}

} // namespace manypath::kernel
