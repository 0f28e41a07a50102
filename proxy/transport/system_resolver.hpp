// system_resolver.hpp: resolves with the system's own getaddrinfo(3), on a few threads.
//
// getaddrinfo knows hosts files, search domains and every name service the administrator set up;
// its price is that it blocks and cannot be interrupted. One name occupies one thread however
// many clients wait for it, so a slow name does not hold up the others.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/transport/resolver.hpp"

#include <functional>
#include <memory>

namespace manypath {

/// Thread safe. Destroying it does not wait for names that are being looked up; nobody may be
/// waiting for one then.
class system_resolver final : public resolver {
public:
    /// Blocks; stands for getaddrinfo(3) in tests.
    using look_up = std::function<addresses(const std::string& name, error_code& ec)>;

    struct limits {
        unsigned threads = 8;
        std::size_t names = 256; ///< being looked up or waiting for it
    };

    system_resolver();
    system_resolver(limits most, look_up how);
    ~system_resolver() override;
    system_resolver(const system_resolver&) = delete;
    system_resolver& operator=(const system_resolver&) = delete;

    asio::awaitable<addresses> resolve(std::string name, error_code& ec) override;

private:
    class shared;
    std::shared_ptr<shared> shared_;
};

} // namespace manypath
