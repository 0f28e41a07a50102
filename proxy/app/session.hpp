// session.hpp: the way of one connection from accept to relay.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/app/connection_table.hpp"
#include "proxy/app/handshake_watch.hpp"
#include "proxy/modes/mode.hpp"
#include "proxy/transport/dialer.hpp"

#include <memory>

namespace manypath {

/// What the sessions of a thread share; outlives them.
struct session_parts {
    dialer& dials;
    handshake_watch& handshakes;
    connection_table& connections;
};

/// Asks the access list, reads the request, dials, answers, and hands the streams to the relay;
/// ends with that, so that no coroutine frame stays while bytes flow.
/// @param speaks  the listener's mode
asio::awaitable<void> run_session(session_parts parts, std::shared_ptr<mode> speaks,
                                  connection_share share, std::unique_ptr<stream> client);

} // namespace manypath
