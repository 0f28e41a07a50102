// kernel_backend.hpp: TCP and MPTCP by the kernel's sockets.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/transport/backend.hpp"

#include <memory>

namespace manypath::kernel {

/// @param context  of the thread that uses the back end; outlives it and its streams
[[nodiscard]] std::unique_ptr<backend> make_backend(asio::io_context& context);

} // namespace manypath::kernel
