// report_text.hpp: the table at the end of `manypath run --report`.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/launcher/counters.hpp"
#include "preload/launcher/report_file.hpp"

#include <string>
#include <vector>

namespace manypath::launcher {

/// @param grown  what the kernel counted meanwhile; names the reason of fallbacks
[[nodiscard]] std::string render_report(const std::vector<process_record>& processes,
                                        const mptcp_counters& grown);

} // namespace manypath::launcher
