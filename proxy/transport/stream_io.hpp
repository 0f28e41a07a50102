// stream_io.hpp: reading and writing a stream from a coroutine.
//
// For the few exchanges before the relay takes over. A cancelled coroutine aborts the stream it
// waits for, because a wait cannot be taken back and such a connection has no future.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/transport/stream.hpp"

namespace manypath {

/// Waits until the next read or write makes progress or reports the connection's error.
asio::awaitable<void> wait(stream& on, readiness what, error_code& ec);

/// Waits for bytes and reads what is there.
/// @return at least 1 without an error
/// @param ec  eof: the peer sent its end of stream
asio::awaitable<std::size_t> read_some(stream& from, std::span<std::byte> buffer, error_code& ec);

/// Returns when `to` has taken all of `data`.
asio::awaitable<void> write_all(stream& to, std::span<const std::byte> data, error_code& ec);

/// Ends a connection whose last words the peer has to see: sends the end of the stream and
/// discards what still comes in, since closing with unread bytes would send RST, which destroys
/// what the peer has not read yet. Ends when the peer does, or has sent `most_bytes`.
asio::awaitable<void> say_goodbye(stream& to, std::size_t most_bytes);

} // namespace manypath
