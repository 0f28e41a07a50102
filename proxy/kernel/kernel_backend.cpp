// SPDX-License-Identifier: Apache-2.0
#include "proxy/kernel/kernel_backend.hpp"

#include "proxy/kernel/kernel_acceptor.hpp"
#include "proxy/kernel/kernel_connector.hpp"

#include <utility>

namespace manypath::kernel {

namespace {

class kernel_backend final : public backend {
public:
    explicit kernel_backend(asio::io_context& context)
        : runs_(context.get_executor()), connector_(runs_)
    {
    }

    std::unique_ptr<acceptor> make_acceptor(unique_fd socket) override
    {
        return std::make_unique<kernel_acceptor>(runs_, std::move(socket));
    }

    connector& dials() noexcept override { return connector_; }

private:
    executor runs_;
    kernel_connector connector_;
};

} // namespace

std::unique_ptr<backend> make_backend(asio::io_context& context)
{
    return std::make_unique<kernel_backend>(context);
}

} // namespace manypath::kernel
