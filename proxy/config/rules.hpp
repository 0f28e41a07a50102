// rules.hpp: what has to hold between the keys of a configuration.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"
#include "proxy/config/document.hpp"

namespace manypath::config {

/// Reports every combination that cannot work.
/// @param top     the document that `read` was read from
void check_rules(const section& top, const configuration& read);

} // namespace manypath::config
