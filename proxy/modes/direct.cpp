// SPDX-License-Identifier: Apache-2.0
#include "proxy/modes/direct.hpp"

namespace manypath {

asio::awaitable<request> direct_mode::read_request(stream& client, error_code& ec)
{
    ec.clear();
    request asked;
    asked.to = to_ ? *to_ : destination{unmapped(client.local())};
    co_return asked;
}

asio::awaitable<void> direct_mode::answer(stream& client, error_code dialled, endpoint,
                                          error_code& ec)
{
    ec.clear();
    if (dialled)
        client.abort();
    co_return;
}

} // namespace manypath
