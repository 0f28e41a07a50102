// mode.hpp: how a listener learns where a client wants to go, and how it answers.
//
// A mode sees streams, never sockets, so it cannot know which back end carries them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"
#include "proxy/transport/destination.hpp"
#include "proxy/transport/stream.hpp"

#include <cstddef>
#include <memory>
#include <vector>

namespace manypath {

/// What the client asked for, and what it sent behind its request already.
struct request {
    destination to;
    std::vector<std::byte> early;
};

/// Has no state per connection: one object serves all connections of a listener on one thread.
class mode {
public:
    virtual ~mode() = default;

    /// Reads the client's request.
    /// @param ec  set where there is none to serve; the mode has told the client why already
    virtual asio::awaitable<request> read_request(stream& client, error_code& ec) = 0;

    /// Tells the client how dialling ended, before any byte is relayed.
    /// @param dialled  success or the dialer's error
    /// @param bound    the local address of the connection to the server
    /// @param ec       the client is gone
    virtual asio::awaitable<void> answer(stream& client, error_code dialled, endpoint bound,
                                         error_code& ec) = 0;

protected:
    mode() = default;
    mode(const mode&) = default;
    mode& operator=(const mode&) = default;
};

[[nodiscard]] std::unique_ptr<mode> make_mode(const config::listen& listener);

} // namespace manypath
