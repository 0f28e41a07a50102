// host_facts.hpp: everything about this host and network namespace that decides whether MPTCP
// works. SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/launcher/counters.hpp"
#include "proxy/kernel/path_manager.hpp"

#include <cstdint>
#include <map>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <variant>
#include <vector>

namespace manypath::launcher {

using ip_address = std::variant<in_addr, in6_addr>;

[[nodiscard]] std::string to_text(const ip_address& address);
[[nodiscard]] bool equal(const ip_address& a, const ip_address& b);
[[nodiscard]] int family_of(const ip_address& address);

/// What the kernel answers when it is asked for a route.
struct route_answer {
    std::uint32_t interface = 0; ///< index; 0: no route
    std::string gateway;         ///< empty: the destination is on the link
    bool local = false;          ///< the destination is this host
};

/// One address of one interface, and where packets from it would go.
struct path_facts {
    std::string interface;
    std::uint32_t index = 0;
    ip_address address;
    bool up = false;
    int rp_filter = 0;               ///< in force: 0 off, 1 strict, 2 loose; 0 for IPv6
    bool first = false;              ///< connections begin on this interface
    route_answer by_source;          ///< chosen by the source address alone
    std::string by_source_interface; ///< name of `by_source.interface`
    route_answer through;            ///< with the interface given; 0 where it leads nowhere
    std::string known_gateway;       ///< of any default route through this interface
};

struct host_facts {
    std::string release;           ///< of the kernel
    std::optional<int> refused_v4; ///< errno with which MPTCP was refused
    std::optional<int> refused_v6;
    std::map<std::string, std::string, std::less<>> sysctls; ///< those that exist and are readable
    std::optional<int> endpoints_error; ///< errno if the kernel does not tell the endpoints
    std::vector<kernel::mptcp_endpoint> endpoints;
    std::optional<kernel::mptcp_limits> limits;
    std::vector<path_facts> paths; ///< addresses of global scope, without loopback
    int family = AF_UNSPEC;        ///< of the target that routes were asked for, if there is one
    mptcp_counters counters;       ///< since the namespace was made
    bool target_is_here = false;   ///< the target is an address of this host
};

/// @param destination  of the routes; nothing: some address beyond every local network
[[nodiscard]] host_facts collect_host_facts(const std::optional<ip_address>& destination);

[[nodiscard]] std::string_view sysctl_of(const host_facts& facts, std::string_view name);

} // namespace manypath::launcher
