// notify.hpp: what systemd wants to know (sd_notify(3)), without libsystemd.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace manypath::keeper {

/// Sends assignments, one per line, such as "READY=1\nSTATUS=serving". Without NOTIFY_SOCKET in the
/// environment nobody asked, and nothing happens.
void notify(std::string_view assignments);

/// RELOADING=1 needs the moment, so that systemd can tell it from an older one.
void notify_reloading();

} // namespace manypath::keeper
