// resolver.hpp: names to addresses, without holding up the thread that asks.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/asio.hpp"

#include <boost/asio/ip/address.hpp>
#include <string>
#include <vector>

namespace manypath {

class resolver {
public:
    using addresses = std::vector<asio::ip::address>;

    virtual ~resolver() = default;

    /// @return IPv4 and IPv6 addresses in order of preference, at least one without an error
    /// @param ec  host_not_found; host_not_found_try_again, also when too many names are being
    ///            resolved; operation_aborted if the coroutine was cancelled
    virtual asio::awaitable<addresses> resolve(std::string name, error_code& ec) = 0;

protected:
    resolver() = default;
    resolver(const resolver&) = default;
    resolver& operator=(const resolver&) = default;
};

} // namespace manypath
