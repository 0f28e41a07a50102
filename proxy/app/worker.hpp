// worker.hpp: the unprivileged half of manypathd: obeys the keeper, serves, answers.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/keeper/channel.hpp"

namespace manypath {

/// Runs until the keeper orders the end or is gone. Its first order must be a `configure`.
/// @return the exit status
[[nodiscard]] int run_worker(keeper::channel orders);

} // namespace manypath
