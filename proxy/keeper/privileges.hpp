// privileges.hpp: what this process may do, and how the worker gives all of it up.
//
// A drop that is not checked is a hope: prove_dropped() tries what must fail.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"

#include <expected>
#include <string>
#include <sys/types.h>

namespace manypath::keeper {

struct powers {
    bool network = false;   ///< CAP_NET_ADMIN: rules, routes, endpoints, transparent sockets
    bool low_ports = false; ///< CAP_NET_BIND_SERVICE
    bool become_user = false;
};

[[nodiscard]] powers present_powers();

/// Whether the configuration changes routing, rules or endpoints of the namespace.
[[nodiscard]] bool needs_network(const config::configuration& c);

/// @return which key needs what; nothing where the powers are enough
[[nodiscard]] std::expected<void, std::string> check_powers(const config::configuration& c,
                                                            const powers& have);

struct account {
    uid_t user = 0;
    gid_t group = 0;
    bool own = false; ///< made for the gateway: its group may use the control socket
};

/// @param name  the default "manypath" becomes "nobody" where it does not exist
[[nodiscard]] std::expected<account, std::string> find_account(const std::string& name);

struct drop_options {
    account to;
    bool change_user = false;
    bool keep_raw = false; ///< CAP_NET_RAW stays, for preserve_source
    pid_t keeper = 0;      ///< its death is ours
};

/// For the worker alone. @return what failed
[[nodiscard]] std::expected<void, std::string> drop_privileges(const drop_options& o);

/// @return the first thing that works although it must not
[[nodiscard]] std::expected<void, std::string> prove_dropped(const drop_options& o);

} // namespace manypath::keeper
