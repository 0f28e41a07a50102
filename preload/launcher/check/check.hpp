// check.hpp: `manypath check`, why MPTCP works here or does not.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/launcher/dial.hpp"

#include <optional>

namespace manypath::launcher {

struct check_options {
    std::optional<dial_target> target;
    bool json = false;
};

/// @return the exit status for main(): 0, or 1 if there is a problem
[[nodiscard]] int check(const check_options& options);

} // namespace manypath::launcher
