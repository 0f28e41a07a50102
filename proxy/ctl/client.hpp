// client.hpp: asks the daemon one question over its control socket.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/json/fwd.hpp>
#include <chrono>
#include <expected>
#include <string>

namespace manypath::ctl {

/// Blocks until the daemon has answered.
/// @param command   "status", "connections", "paths" or "reload"
/// @param patience  for each step of the way
/// @return the result, or a sentence that says what failed and what to do about it
[[nodiscard]] std::expected<boost::json::value, std::string>
ask(const std::string& socket_path, const std::string& command, std::chrono::seconds patience);

} // namespace manypath::ctl
