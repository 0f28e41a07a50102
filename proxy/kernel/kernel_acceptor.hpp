// kernel_acceptor.hpp: a listening TCP or MPTCP socket of the kernel.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/kernel/kernel_stream.hpp"
#include "proxy/transport/acceptor.hpp"

namespace manypath::kernel {

class kernel_acceptor final : public acceptor {
public:
    /// @param socket  in the listening state
    /// @throws boost::system::system_error if the event loop cannot watch it
    kernel_acceptor(const executor& runs, unique_fd socket);

    asio::awaitable<std::unique_ptr<stream>> accept(error_code& ec) override;
    void close() noexcept override;
    [[nodiscard]] endpoint local() const override;

private:
    /// @return empty with ec set: would_block where nobody waits in the backlog
    std::unique_ptr<stream> take(error_code& ec);

    executor runs_;
    descriptor socket_;
    int handle_; ///< -1 once closed
    protocol speaks_;
    unsigned taken_in_a_row_ = 0;
};

} // namespace manypath::kernel
