// connection_log.hpp: the one line that each connection leaves in the log.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/app/connection_table.hpp"

#include <string>
#include <string_view>

namespace manypath {

/// "connection listener=lan client=198.18.0.2:4711 to=198.18.2.2:80 client_protocol=tcp
/// server_protocol=mptcp to_server=120 to_client=5000 seconds=1.250 end=finished
/// server_subflows=[198.18.1.1:4000>198.18.2.2:80 sent 120 received 5000]"
[[nodiscard]] std::string end_line(const connection& about, const relay_report& report,
                                   std::chrono::steady_clock::time_point now);

void log_end(const connection& about, const relay_report& report,
             std::chrono::steady_clock::time_point now);

/// A connection that was never relayed.
/// @param end  such as "refused" or "unreachable"
void log_end(const connection& about, std::string_view end, const error_code& why,
             std::chrono::steady_clock::time_point now);

} // namespace manypath
