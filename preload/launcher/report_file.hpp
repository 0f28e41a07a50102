// report_file.hpp: the memory that the wrapped processes write into, seen from the launcher.
//
// A memfd that they open through /proc/PID/fd, not a file in /tmp: nothing is left behind however
// the launcher ends, and no descriptor leaks into the program.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/report.hpp"
#include "proxy/async/unique_fd.hpp"

#include <cstdint>
#include <expected>
#include <string>
#include <system_error>
#include <vector>

namespace manypath::launcher {

/// One connection or listener that the kernel opened as MPTCP.
struct socket_record {
    std::uint64_t cookie = 0;
    report::role role = report::role::opened;
    report::verdict verdict = report::verdict::unconnected;
    std::uint32_t subflows = 0; ///< most seen at one time
};

struct process_record {
    std::uint32_t pid = 0;
    std::string command;
    std::uint32_t asked = 0;
    std::uint32_t granted = 0;
    std::uint32_t refused = 0;
    int refused_errno = 0;
    std::uint32_t failed = 0;
    std::uint32_t accepted = 0;
    std::uint32_t accepted_tcp = 0;
    std::uint32_t fell_back = 0;
    bool still_runs = false; ///< outlived the program that the launcher started
    std::vector<socket_record> sockets;
};

class report_file {
public:
    [[nodiscard]] static std::expected<report_file, std::error_code> create();
    report_file(report_file&& other) noexcept;
    report_file& operator=(report_file&&) = delete;
    ~report_file();

    /// For report::environment_name; valid while this object lives.
    [[nodiscard]] std::string path() const;

    /// What has been written so far, in the order in which the processes began.
    [[nodiscard]] std::vector<process_record> read() const;

private:
    report_file(unique_fd fd, report::file* memory) noexcept;

    unique_fd fd_;
    report::file* memory_;
};

} // namespace manypath::launcher
