// step.hpp: one change to the system as a value that can be made, undone and written down.
//
// Everything the keeper leaves in the kernel or in /run is a step, so the plan for a configuration,
// the difference between two plans, and the undo are plain lists.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"
#include "proxy/kernel/path_manager.hpp"

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace manypath::keeper {

using ip_address = asio::ip::address;

/// An `ip rule`: packets from `from`, or those with the intercept mark, look into `table`.
struct policy_rule {
    bool v6 = false;
    std::optional<ip_address> from;
    std::uint32_t table = 0;
    std::uint32_t priority = 0;
    bool operator==(const policy_rule&) const = default;
};

enum class route_kind : std::uint8_t { unicast, local, unreachable };

struct route {
    route_kind kind = route_kind::unicast;
    std::uint32_t table = 0;
    config::prefix to; ///< its address says the family
    std::optional<ip_address> gateway;
    std::uint32_t interface = 0; ///< index; 0: none
    std::uint32_t metric = 0;
    bool operator==(const route&) const = default;
};

struct path_endpoint {
    ip_address address;
    std::uint32_t interface = 0;
    config::path_flags flags;
    std::uint8_t id = 0; ///< chosen by prepare()
    bool operator==(const path_endpoint&) const = default;
};

/// Raises the limits of the path manager, never lowers them.
struct raised_limits {
    kernel::mptcp_limits before; ///< found by prepare()
    kernel::mptcp_limits after;
    bool operator==(const raised_limits&) const = default;
};

struct sysctl_setting {
    std::string name;   ///< below /proc/sys, with slashes
    std::string before; ///< found by prepare()
    std::string after;
    bool operator==(const sysctl_setting&) const = default;
};

/// A table of ours that the kernel would keep after our end.
struct nft_table {
    std::string name; ///< family inet
    bool operator==(const nft_table&) const = default;
};

struct socket_file {
    std::string path;
    bool operator==(const socket_file&) const = default;
};

struct directory {
    std::string path;
    bool operator==(const directory&) const = default;
};

using step = std::variant<policy_rule, route, path_endpoint, raised_limits, sysctl_setting,
                          nft_table, socket_file, directory>;

/// Completes a step with what undoing it needs to know. Changes nothing.
/// @return false where the system is that way already or belongs to somebody else: make nothing
[[nodiscard]] std::expected<bool, std::string> prepare(step& s);

/// nft_table, socket_file and directory are made by those who use them; for them this is a no-op.
/// @return why it could not be made
[[nodiscard]] std::expected<void, std::string> make(const step& s);

/// Removes what make() made and puts back what it changed. What somebody else has changed or
/// removed since stays as it is; so undoing twice, or what was never made, does nothing.
[[nodiscard]] std::expected<void, std::string> undo(const step& s);

/// Whether both want the same place with different contents, so that one has to go first.
[[nodiscard]] bool compete(const step& a, const step& b);

/// One line without its end; the journal's format.
[[nodiscard]] std::string to_line(const step& s);
[[nodiscard]] std::optional<step> parse_line(std::string_view line);

/// For messages: "route to 0.0.0.0/0 in table 1000".
[[nodiscard]] std::string describe(const step& s);

} // namespace manypath::keeper
