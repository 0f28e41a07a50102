// schema.hpp: the keys of manypathd.toml, one line each.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"
#include "proxy/config/document.hpp"

#include <string>
#include <vector>

namespace manypath::config {

/// Reads every key that the document has; what is wrong goes into the section's defects and leaves
/// the default in its place.
void read_document(const section& top, configuration& out);

/// Every key with its path, such as "listen.intercept.ports", for the tests of the documentation.
[[nodiscard]] std::vector<std::string> known_keys();

} // namespace manypath::config
