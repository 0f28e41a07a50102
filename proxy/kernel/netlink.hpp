// netlink.hpp: one request to the kernel over netlink and its whole answer.
//
// A thin front of libmnl that keeps the sentence with which the kernel explains a refusal, because
// "Invalid argument" alone helps nobody.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <functional>
#include <libmnl/libmnl.h>
#include <memory>
#include <string>
#include <system_error>

namespace manypath::kernel {

/// Bytes of a request; far more than any of ours needs.
inline constexpr std::size_t netlink_request_bytes = 4096;
using netlink_request = std::array<std::byte, netlink_request_bytes>;

/// A netlink socket in the network namespace of the thread that opened it. Not thread safe.
class netlink {
public:
    using visitor = std::function<void(const nlmsghdr&)>;

    /// @param bus  NETLINK_ROUTE, NETLINK_GENERIC, ...
    [[nodiscard]] static std::expected<netlink, std::error_code> open(int bus);

    /// Sends `message` (type, flags and payload filled in) and reads the answer to its end.
    /// @param each  called for every message of the answer; may be empty
    /// @return success, or the kernel's errno
    [[nodiscard]] std::error_code request(nlmsghdr& message, const visitor& each = {});

    /// What the kernel said to the last refusal; empty where it said nothing.
    [[nodiscard]] const std::string& explanation() const noexcept { return explanation_; }

private:
    struct closer {
        void operator()(mnl_socket* s) const noexcept { mnl_socket_close(s); }
    };
    explicit netlink(mnl_socket* s) noexcept : socket_(s) {}

    std::unique_ptr<mnl_socket, closer> socket_;
    std::uint32_t sequence_ = 0;
    std::string explanation_;
};

using attribute_visitor = std::function<void(const nlattr&)>;

/// Visits the attributes behind the first `header_bytes` of the payload.
void visit_attributes(const nlmsghdr& message, std::size_t header_bytes,
                      const attribute_visitor& visit);
/// Visits the attributes inside `nest`.
void visit_attributes(const nlattr& nest, const attribute_visitor& visit);

} // namespace manypath::kernel
