// backend.hpp: where the streams of a gateway come from.
//
// The kernel's sockets today; the engine implements the same three calls.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/unique_fd.hpp"
#include "proxy/transport/acceptor.hpp"
#include "proxy/transport/connector.hpp"

#include <memory>

namespace manypath {

/// One per thread.
class backend {
public:
    virtual ~backend() = default;

    /// @param socket  in the listening state
    [[nodiscard]] virtual std::unique_ptr<acceptor> make_acceptor(unique_fd socket) = 0;

    [[nodiscard]] virtual connector& dials() noexcept = 0;

protected:
    backend() = default;
    backend(const backend&) = default;
    backend& operator=(const backend&) = default;
};

} // namespace manypath
