// reporter.hpp: writes this process's part of the report that `manypath run --report` prints.
//
// Everything is counted with relaxed atomics in shared memory: no lock, no system call but
// getpid(), which tells a fork or vfork child from its parent. SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "preload/connection.hpp"
#include "preload/report.hpp"

namespace manypath::preload {

class reporter {
public:
    /// Maps the file; leaves the reporter inactive if it is not one of the launcher's.
    void open(const char* path);
    [[nodiscard]] bool active() const { return file_ != nullptr; }

    /// A socket() call that MPTCP could serve, and how it ended.
    void opened_mptcp(int fd);
    void opened_tcp(int refusal_errno);
    void failed(int refusal_errno);

    void accepted_mptcp(int fd);
    void accepted_tcp();

    void option_kept();
    void option_given();

    /// Brings the note of this socket up to date; one without a note is left out.
    void saw(std::uint64_t cookie, const connection_state& now);
    /// Looks a last time at the sockets that are still open.
    void look_at_open_sockets();

private:
    report::process* own_process();
    report::process* claim_process(std::uint32_t pid);
    void add_note(report::process& process, int fd, report::role role);

    report::file* file_ = nullptr;
    std::atomic<std::uint32_t> image_{0};
    /// Index of this process in the file plus 1; checked against the pid, because a fork inherits
    /// it and a vfork child shares it.
    std::atomic<std::uint32_t> own_index_{0};
};

} // namespace manypath::preload
