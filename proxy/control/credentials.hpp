// credentials.hpp: who may ask the daemon.
//
// The mode of the socket file keeps strangers out already; the peer's credentials are checked as
// well, because a mode is easily widened by hand.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <optional>
#include <sys/types.h>
#include <system_error>
#include <vector>

namespace manypath::control {

/// The process at the other end of a Unix socket, as it was when it connected.
struct peer {
    uid_t user = 0;
    std::vector<gid_t> groups; ///< effective and supplementary ones
};

[[nodiscard]] std::expected<peer, std::error_code> peer_of(int socket);

/// The group of the file that a listening Unix socket is bound to; empty if it has none.
[[nodiscard]] std::optional<gid_t> group_of_socket(int socket);

/// Root, the daemon's own user and members of the socket's group may.
[[nodiscard]] bool may_ask(const peer& who, uid_t own_user, std::optional<gid_t> group);

} // namespace manypath::control
