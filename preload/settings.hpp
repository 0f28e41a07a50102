// settings.hpp: what the environment asks of the library, read once when it is loaded.
//
// Once, because getenv() is not async-signal-safe and programs rewrite their environment. Under
// secure execution (setuid, file capabilities) the caller's variables mean nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace manypath::preload {

struct settings {
    bool enabled = true;               ///< MANYPATH is not "0"
    bool debug = false;                ///< MANYPATH_DEBUG is set, and neither empty nor "0"
    const char* report_path = nullptr; ///< MANYPATH_REPORT; points into the environment
};

settings read_settings();

} // namespace manypath::preload
