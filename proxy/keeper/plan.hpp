// plan.hpp: which changes to the system a configuration asks for.
//
// A pure function of the configuration and of what the network looks like, so that it can be tested
// without privileges, and so that a reload is the difference of two lists.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/config/config.hpp"
#include "proxy/keeper/routing.hpp"
#include "proxy/keeper/step.hpp"

#include <map>
#include <string>
#include <vector>

namespace manypath::keeper {

struct planned_step {
    std::string path; ///< name of the [[path]]; empty for transparent listeners
    step what;
};

struct plan {
    std::vector<planned_step> steps; ///< in the order in which they have to be made
    std::vector<std::string> warnings;
};

/// Which routing table belongs to which path: a path keeps its number over reloads.
class path_tables {
public:
    /// @return 0 when all are taken
    std::uint32_t table_of(const std::string& path);
    /// Frees the numbers of paths that are gone.
    void keep_only(const std::vector<config::path>& paths);

private:
    std::map<std::string, std::uint32_t> tables_;
};

struct plan_options {
    bool mptcp = true;   ///< the kernel speaks it
    bool sysctls = true; ///< this process may set them
};

[[nodiscard]] plan make_plan(const config::configuration& c, const network_state& network,
                             path_tables& tables, const plan_options& options);

} // namespace manypath::keeper
