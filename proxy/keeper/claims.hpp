// claims.hpp: what one gateway alone may have: its control socket, and the network namespace's
// routing tables.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/unique_fd.hpp"

#include <expected>
#include <string>
#include <sys/types.h>

namespace manypath::keeper {

/// Makes the last directory of the socket's path where it is missing.
/// @return whether it made one
[[nodiscard]] std::expected<bool, std::string> make_directory_of(const std::string& path);

/// Listens on a Unix socket with mode 0660. One that nobody listens on any more is replaced.
/// @param group  who may talk to the gateway besides root; -1: nobody
[[nodiscard]] std::expected<unique_fd, std::string> open_control_socket(const std::string& path,
                                                                        gid_t group);

/// Keeps every other gateway of this network namespace from making rules, routes and endpoints
/// with the same numbers. Waits a moment for one that is about to end. A claim of another user who
/// is not root counts for nothing.
/// @return the descriptor to hold; or who has it
[[nodiscard]] std::expected<unique_fd, std::string> claim_network();

} // namespace manypath::keeper
