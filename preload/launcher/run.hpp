// run.hpp: `manypath run`, a program with libmanypath.so in front of its C library.
//
// Without a report the program takes our place by exec, so that its parent deals with the program
// itself: process id, signals, job control and status are not imitated but real.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

namespace manypath::launcher {

struct run_options {
    bool report = false;              ///< print at the end what became of the sockets
    bool debug = false;               ///< let the library say on stderr what it does
    std::vector<std::string> command; ///< program and arguments; not empty
};

/// Status where this program, and not the wrapped one, failed; env(1) uses the same.
inline constexpr int status_own_failure = 125;

/// Returns only if there is a report or the program could not be started.
/// @return the exit status for main()
[[nodiscard]] int run(const run_options& options);

} // namespace manypath::launcher
