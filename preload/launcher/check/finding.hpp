// finding.hpp: what `manypath check` has to say, before it is put into words for a reader.
//
// Findings are values, and the judges that make them are pure functions of collected facts: tests
// make up a host and compare what is found.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace manypath::launcher {

enum class level : std::uint8_t {
    ok,      ///< as it should be
    note,    ///< worth knowing; works
    problem, ///< keeps MPTCP, or one of the paths, from working
};

struct finding {
    level severity = level::ok;
    std::string id;   ///< stable name for scripts: "kernel.socket", "path.route", ...
    std::string text; ///< one sentence
    std::string fix;  ///< command that mends it; empty where there is none
    bool operator==(const finding&) const = default;
};

using findings = std::vector<finding>;

/// What became of the connection to the target.
struct target_result {
    std::string host;
    std::string port;
    std::string peer;                  ///< address that answered; empty if none did
    bool mptcp = false;                ///< really, not only asked for
    std::vector<std::string> subflows; ///< "local -> remote"
};

struct check_result {
    findings found;
    std::optional<target_result> target;
};

} // namespace manypath::launcher
