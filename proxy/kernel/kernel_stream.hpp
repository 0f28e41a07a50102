// kernel_stream.hpp: a connected TCP or MPTCP socket of the kernel as a stream.
//
// A plain descriptor instead of Asio's socket type, because that one opens, accepts and closes
// with more system calls than a short connection should cost.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/unique_fd.hpp"
#include "proxy/transport/stream.hpp"

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <netinet/in.h>
#include <sys/socket.h>

namespace manypath::kernel {

using descriptor = asio::posix::basic_stream_descriptor<executor>;

/// IPv4-mapped addresses become IPv4. A default endpoint for any other family.
[[nodiscard]] endpoint to_endpoint(const sockaddr_storage& address);

/// errno as an error of Asio's system category.
[[nodiscard]] error_code system_error(int number) noexcept;

/// Registers `socket` with the event loop.
/// @param ec  the event loop's refusal; `socket` is closed then
[[nodiscard]] descriptor watch(const executor& runs, unique_fd socket, error_code& ec);

class kernel_stream final : public stream {
public:
    /// @param socket  connected, non-blocking
    /// @param asked   what the socket was opened as
    /// @param remote  the peer, kept because a dead socket has forgotten it
    kernel_stream(descriptor socket, protocol asked, const endpoint& remote);

    void async_wait(readiness what, ready_handler handler) override;
    std::size_t read_some(std::span<std::byte> buffer, error_code& ec) override;
    std::size_t write_some(std::span<const std::byte> data, error_code& ec) override;
    void shutdown_send(error_code& ec) override;
    void abort() noexcept override;
    void close() noexcept override;
    [[nodiscard]] int native_handle() const noexcept override { return handle_; }
    [[nodiscard]] endpoint local() const override;
    [[nodiscard]] endpoint remote() const override { return remote_; }
    [[nodiscard]] connection_info info() const override;

private:
    descriptor socket_;
    int handle_; ///< -1 once closed; Asio's own accessor is not const
    protocol asked_;
    endpoint remote_;
};

} // namespace manypath::kernel
