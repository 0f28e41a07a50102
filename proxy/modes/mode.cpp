// SPDX-License-Identifier: Apache-2.0
#include "proxy/modes/mode.hpp"

#include "proxy/modes/direct.hpp"
#include "proxy/modes/http_connect.hpp"
#include "proxy/modes/socks5.hpp"

namespace manypath {

std::unique_ptr<mode> make_mode(const config::listen& listener)
{
    switch (listener.mode) {
    case config::listen_mode::socks5:
        return std::make_unique<socks5_mode>();
    case config::listen_mode::http_connect:
        return std::make_unique<http_connect_mode>();
    case config::listen_mode::forward:
        return std::make_unique<direct_mode>(listener.to);
    case config::listen_mode::transparent:
        break;
    }
    return std::make_unique<direct_mode>(std::nullopt);
}

} // namespace manypath
