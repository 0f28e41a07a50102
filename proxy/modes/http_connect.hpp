// http_connect.hpp: the HTTP CONNECT server of a listener (RFC 9110, section 9.3.6).
//
// Only tunnels: a gateway that understood other methods would have to be an HTTP proxy.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/modes/mode.hpp"

namespace manypath {

class http_connect_mode final : public mode {
public:
    asio::awaitable<request> read_request(stream& client, error_code& ec) override;
    asio::awaitable<void> answer(stream& client, error_code dialled, endpoint bound,
                                 error_code& ec) override;
};

} // namespace manypath
