// socks5.hpp: the SOCKS5 server of a listener (RFC 1928).
//
// CONNECT without authentication; who may use it is the access list's matter. The other commands
// are answered as unsupported.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/modes/mode.hpp"

namespace manypath {

class socks5_mode final : public mode {
public:
    asio::awaitable<request> read_request(stream& client, error_code& ec) override;
    asio::awaitable<void> answer(stream& client, error_code dialled, endpoint bound,
                                 error_code& ec) override;
};

} // namespace manypath
