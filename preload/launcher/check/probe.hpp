// probe.hpp: the test connection of `manypath check HOST PORT`.
//
// No byte of data is sent, so that any service can be the target. The kernel opens further subflows
// only after the server has acknowledged something; a TCP keep-alive probe makes a silent server
// do that.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/launcher/check/host_facts.hpp"
#include "preload/launcher/check/judge.hpp"
#include "preload/launcher/dial.hpp"

#include <cstddef>
#include <vector>

namespace manypath::launcher {

/// @param addresses         of the target; empty: `failure` says why
/// @param wanted_subflows   returns as soon as so many are there, or after about two seconds
[[nodiscard]] probe_facts probe(const dial_target& target,
                                const std::vector<socket_address>& addresses,
                                std::size_t wanted_subflows);

} // namespace manypath::launcher
