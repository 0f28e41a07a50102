// connector.hpp: opens one connection to one address; the back ends differ here.
//
// Names, several addresses, time limits and the way back to TCP are the dialer's, which stands
// on this.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/transport/stream.hpp"

#include <memory>
#include <optional>

namespace manypath {

struct connect_options {
    protocol speak = protocol::tcp;
    /// Address and port to connect from, which need not be this host's (preserve_source); the
    /// port may be 0.
    std::optional<endpoint> source;
};

/// Belongs to one thread.
class connector {
public:
    virtual ~connector() = default;

    /// @param ec  the connection's error; operation_aborted if the coroutine was cancelled, which
    ///            also drops the attempt. Refusal of MPTCP by this host is an error here:
    ///            protocol_not_supported.
    virtual asio::awaitable<std::unique_ptr<stream>> connect(endpoint to, connect_options options,
                                                             error_code& ec) = 0;

protected:
    connector() = default;
    connector(const connector&) = default;
    connector& operator=(const connector&) = default;
};

} // namespace manypath
