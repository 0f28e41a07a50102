// dialer.hpp: reaches a destination given by address or by name.
//
// Happy Eyeballs (RFC 8305) over the addresses of a name; MPTCP first and TCP where MPTCP gets
// no answer, with a memory per destination, because the kernel's own verdict is one for the
// whole namespace and lasts for hours.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/transport/attempt_plan.hpp"
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

/// Belongs to the thread that runs `context`; the parts outlive it.
class dialer {
public:
    dialer(asio::io_context& context, connector& connects, resolver& resolves,
           fallback_memory& memory, dial_timing timing = {})
        : context_(context),
          connector_(connects),
          resolver_(resolves),
          memory_(memory),
          timing_(timing)
    {
    }

    /// @param ec  timed_out after `limit`; host_not_found; operation_aborted if the coroutine was
    ///            cancelled; else the error of the last attempt
    asio::awaitable<std::unique_ptr<stream>> dial(destination to, dial_options options,
                                                  error_code& ec);

private:
    using clock = std::chrono::steady_clock;
    struct race;
    struct news;

    void plan(race& r, const std::vector<asio::ip::address>& addresses, std::uint16_t port);
    asio::awaitable<void> look_up(race& r, host_port to);
    asio::awaitable<void> try_once(race& r, attempt what);
    asio::awaitable<void> run(race& r, clock::time_point deadline);
    void learn(const race& r);

    asio::io_context& context_;
    connector& connector_;
    resolver& resolver_;
    fallback_memory& memory_;
    dial_timing timing_;
};

} // namespace manypath
