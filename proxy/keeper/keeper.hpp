// keeper.hpp: the privileged half of manypathd.
//
// It acquires what needs privileges (low ports, transparent listeners, nft table, rules, routes,
// MPTCP endpoints, sysctls), starts the worker, and undoes everything when either of them ends,
// however it ends.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"
#include "proxy/keeper/channel.hpp"

#include <functional>
#include <string>

namespace manypath::keeper {

struct keeper_options {
    std::string file;        ///< configuration file, read again on SIGHUP
    std::string worker_user; ///< the worker's user; ignored when not started as root
    unsigned threads = 1;    ///< of the worker
};

/// What the forked child runs once its privileges are gone. @return the exit status
using worker_main = std::function<int(channel)>;

/// Runs until SIGTERM, SIGINT or the end of the worker. SIGHUP reloads.
/// @param first  the configuration that `text` was parsed to
/// @return the daemon's exit status; what failed is logged
[[nodiscard]] int run(const keeper_options& options, const config::configuration& first,
                      const std::string& text, const worker_main& worker);

} // namespace manypath::keeper
