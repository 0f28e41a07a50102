// dialer.hpp: reaches a destination given by address or by name.
//
// Happy Eyeballs (RFC 8305) over the addresses of a name; MPTCP first and TCP where MPTCP gets
// no answer, with a memory per destination, because the kernel's own verdict is one for the
// whole namespace and lasts for hours.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/transport/connector.hpp"
#include "proxy/transport/destination.hpp"
#include "proxy/transport/fallback_memory.hpp"
#include "proxy/transport/resolver.hpp"

#include <chrono>
#include <memory>
#include <optional>

namespace manypath {

struct dial_options {
    protocol speak = protocol::tcp;
    std::optional<asio::ip::address> source; ///< preserve_source: dial from this address
    std::chrono::milliseconds limit{15'000}; ///< for the whole of resolving and connecting
};

/// Belongs to one thread; the parts outlive it.
class dialer {
public:
    dialer(connector& connects, resolver& resolves, fallback_memory& memory)
        : connector_(connects), resolver_(resolves), memory_(memory)
    {
    }

    /// @param ec  timed_out after `limit`; host_not_found; else the error of the last attempt
    asio::awaitable<std::unique_ptr<stream>> dial(destination to, dial_options options,
                                                  error_code& ec);

private:
    connector& connector_;
    resolver& resolver_;
    fallback_memory& memory_;
};

} // namespace manypath
