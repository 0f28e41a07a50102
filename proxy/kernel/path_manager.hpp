// path_manager.hpp: the kernel's MPTCP endpoints and limits, over generic netlink.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <expected>
#include <netinet/in.h>
#include <string>
#include <system_error>
#include <variant>
#include <vector>

namespace manypath::kernel {

/// One MPTCP endpoint, as `ip mptcp endpoint` shows it.
struct mptcp_endpoint {
    std::variant<in_addr, in6_addr> address;
    std::uint8_t id = 0;         ///< 0 in a request: the kernel chooses
    std::uint16_t port = 0;      ///< host order; only with `signal`
    std::uint32_t interface = 0; ///< index; 0: any
    bool signal = false;
    bool subflow = false;
    bool backup = false;
    bool fullmesh = false;
    bool implicit = false; ///< made by the kernel for an incoming join
};

struct mptcp_limits {
    std::uint32_t subflows = 0; ///< additional ones per connection
    std::uint32_t add_addr_accepted = 0;
    bool operator==(const mptcp_limits&) const = default;
};

/// Requests to the path manager of the current network namespace.
class path_manager {
public:
    /// @return the error of netlink; no_such_file_or_directory where the kernel has no MPTCP
    [[nodiscard]] static std::expected<path_manager, std::error_code> open();
    path_manager(path_manager&& other) noexcept;
    path_manager& operator=(path_manager&& other) noexcept;
    ~path_manager();

    [[nodiscard]] std::expected<std::vector<mptcp_endpoint>, std::error_code> endpoints();
    [[nodiscard]] std::expected<mptcp_limits, std::error_code> limits();

    /// These need CAP_NET_ADMIN.
    [[nodiscard]] std::error_code add(const mptcp_endpoint& e);
    /// `add` fails with file_exists where the address is an endpoint already. `remove` takes the
    /// endpoint with this address and port; its id matters only if it is not 0.
    [[nodiscard]] std::error_code remove(const mptcp_endpoint& e);
    [[nodiscard]] std::error_code set(const mptcp_limits& l);

    /// The kernel's own sentence about the last error; empty where it gave none.
    [[nodiscard]] const std::string& explanation() const noexcept;

private:
    class connection;
    explicit path_manager(connection* c) noexcept : connection_(c) {}
    connection* connection_;
};

} // namespace manypath::kernel
