// supervise.hpp: run a program as a child, look at its sockets meanwhile, end as it ended.
//
// The end of the program ends the supervision, even if descendants of it go on: the prompt and the
// status come back when they would have come back without a report.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/launcher/counters.hpp"
#include "preload/launcher/report_file.hpp"

#include <expected>
#include <functional>
#include <system_error>
#include <vector>

namespace manypath::launcher {

struct supervised {
    bool executed = false; ///< false: the program could not be started
    int wait_status = 0;   ///< as waitpid(2) gives it
    std::vector<process_record> processes;
    mptcp_counters grown;
};

/// Forks; the child calls `become`, which returns an exit status only if it fails to exec.
/// Signals sent by kill(2) go on to the child; those of the terminal reach it without us.
/// @return the error of fork(2) and the like
[[nodiscard]] std::expected<supervised, std::error_code>
supervise(const std::function<int()>& become, const report_file& file);

/// Exits or dies of a signal like the process with this status.
/// @return the exit status, where dying did not work
[[nodiscard]] int end_like(int wait_status);

} // namespace manypath::launcher
