// stream.hpp: one connected byte stream, whichever back end speaks its protocol.
//
// Reads and writes never wait; readiness is awaited apart from them. So one relay serves kernel
// sockets, which it splices, and the engine, which has no descriptor to splice.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/asio.hpp"
#include "proxy/transport/connection_info.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace manypath {

enum class readiness : std::uint8_t {
    readable,
    writable,
    /// The connection was reset or timed out. For whoever neither reads nor writes at the moment
    /// but wants to know.
    hang_up,
};

/// Belongs to one thread. Destroying it closes the connection in the ordinary way (FIN).
class stream {
public:
    using ready_handler = std::move_only_function<void(error_code)>;

    virtual ~stream() = default;

    /// Calls `handler` once, from the event loop, never from inside this call: with success when
    /// the next read or write will make progress or report the connection's error, with
    /// operation_aborted after close() or abort(). A wait for hang_up ends with connection_reset,
    /// and with success where it ended for no cause. At most one wait of each kind at a time.
    virtual void async_wait(readiness what, ready_handler handler) = 0;

    /// @return bytes read, at least 1 without an error
    /// @param ec  would_block: wait for readable; eof: the peer sent its end of stream
    virtual std::size_t read_some(std::span<std::byte> buffer, error_code& ec) = 0;

    /// @return bytes taken; fewer than given means: wait for writable
    /// @param ec  would_block where nothing could be taken
    virtual std::size_t write_some(std::span<const std::byte> data, error_code& ec) = 0;

    /// Sends the end of the stream (FIN, DATA_FIN); reading goes on.
    virtual void shutdown_send(error_code& ec) = 0;

    /// Ends the connection with RST (TCP) or MP_FASTCLOSE (MPTCP); unsent data is lost.
    virtual void abort() noexcept = 0;

    /// Ends the connection in the ordinary way; data already taken is still delivered.
    virtual void close() noexcept = 0;

    /// The kernel socket behind this stream, for splice(2); -1 where there is none.
    [[nodiscard]] virtual int native_handle() const noexcept = 0;

    [[nodiscard]] virtual endpoint local() const = 0;
    [[nodiscard]] virtual endpoint remote() const = 0;
    [[nodiscard]] virtual connection_info info() const = 0;

protected:
    stream() = default;
    stream(const stream&) = default;
    stream& operator=(const stream&) = default;
};

} // namespace manypath
