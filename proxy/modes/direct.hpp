// direct.hpp: the modes in which the client says nothing about its destination.
//
// The client believes that it talks to the server, so the only answer it understands is the one
// of TCP: a connection that could not be made is reset.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/modes/mode.hpp"

#include <optional>

namespace manypath {

/// forward: the destination stands in the configuration. transparent: it is the local address of
/// the accepted connection, which TPROXY keeps (SO_ORIGINAL_DST fails on MPTCP sockets).
class direct_mode final : public mode {
public:
    /// @param to  nothing: transparent
    explicit direct_mode(std::optional<destination> to) : to_(std::move(to)) {}

    asio::awaitable<request> read_request(stream& client, error_code& ec) override;
    asio::awaitable<void> answer(stream& client, error_code dialled, endpoint bound,
                                 error_code& ec) override;

private:
    std::optional<destination> to_;
};

} // namespace manypath
