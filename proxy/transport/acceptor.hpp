// acceptor.hpp: a listening socket of either back end.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/transport/stream.hpp"

#include <memory>

namespace manypath {

/// Belongs to one thread.
class acceptor {
public:
    virtual ~acceptor() = default;

    /// Waits for the next connection. A listener that takes MPTCP takes plain TCP too; ask the
    /// stream's info() what it became.
    /// @param ec  operation_aborted after close(); asio::error::no_descriptors where the process
    ///            or the system ran out of them: the connection stays in the backlog, and the
    ///            next call would fail at once. Other errors (no_memory, no_buffer_space) say the
    ///            same of other resources. A connection that dies unaccepted is no error.
    virtual asio::awaitable<std::unique_ptr<stream>> accept(error_code& ec) = 0;

    /// Stops listening and ends a pending accept() with operation_aborted.
    virtual void close() noexcept = 0;

    [[nodiscard]] virtual endpoint local() const = 0;

protected:
    acceptor() = default;
    acceptor(const acceptor&) = default;
    acceptor& operator=(const acceptor&) = default;
};

} // namespace manypath
