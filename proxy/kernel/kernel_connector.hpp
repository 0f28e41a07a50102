// kernel_connector.hpp: opens TCP and MPTCP connections by the kernel's sockets.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/kernel/kernel_stream.hpp"
#include "proxy/transport/connector.hpp"

namespace manypath::kernel {

class kernel_connector final : public connector {
public:
    explicit kernel_connector(executor runs) : runs_(std::move(runs)) {}

    asio::awaitable<std::unique_ptr<stream>> connect(endpoint to, connect_options options,
                                                     error_code& ec) override;

private:
    executor runs_;
};

} // namespace manypath::kernel
