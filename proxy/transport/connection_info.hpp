// connection_info.hpp: what one side of a relayed connection negotiated and used.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/asio.hpp"

#include <chrono>
#include <cstdint>
#include <vector>

namespace manypath {

enum class protocol : std::uint8_t { tcp, mptcp };

/// One TCP path of an MPTCP connection.
struct subflow_info {
    endpoint local;
    endpoint remote;
    std::uint64_t sent_bytes = 0;     ///< acknowledged by the peer, retransmissions not counted
    std::uint64_t received_bytes = 0; ///< in order at the subflow level
    std::chrono::microseconds round_trip{0};
    bool operator==(const subflow_info&) const = default;
};

/// A snapshot; the numbers are those of the moment of the call.
struct connection_info {
    protocol asked = protocol::tcp;      ///< what the socket was opened as
    protocol negotiated = protocol::tcp; ///< what it speaks now: tcp after a fallback
    std::uint32_t token = 0;             ///< local MPTCP token; 0 for TCP
    std::vector<subflow_info> subflows;  ///< those alive now; empty for TCP
};

} // namespace manypath
