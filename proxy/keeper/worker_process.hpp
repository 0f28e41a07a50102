// worker_process.hpp: the unprivileged half as the keeper sees it, a child and a channel.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/keeper/channel.hpp"
#include "proxy/keeper/keeper.hpp"
#include "proxy/keeper/privileges.hpp"

#include <chrono>
#include <expected>
#include <string>
#include <sys/types.h>

namespace manypath::keeper {

class worker_process {
public:
    /// Forks, drops privileges in the child, proves it, and runs `body` there.
    /// @param alive_pipe  stays open in the child as long as it lives
    [[nodiscard]] static std::expected<worker_process, std::string>
    start(const worker_main& body, drop_options options, int alive_pipe);

    /// Sends `c` and waits for the verdict. A worker that gives none in ten seconds is killed:
    /// nobody could say which configuration it will have.
    /// @param wishes  set where the worker asked for a reload meanwhile
    /// @return the worker's reason, or what became of it
    [[nodiscard]] std::expected<void, std::string> configure_with(configure c, bool& wishes);

    [[nodiscard]] pid_t pid() const noexcept { return pid_; } ///< -1 after has_ended()
    void has_ended() noexcept { pid_ = -1; }                  ///< somebody has waited for it
    [[nodiscard]] channel& talk() noexcept { return channel_; }
    void kill() const noexcept;

private:
    worker_process(pid_t pid, channel c) noexcept : pid_(pid), channel_(std::move(c)) {}

    pid_t pid_;
    channel channel_;
};

/// "ended with status 1", "was killed by signal 9 (Killed)".
[[nodiscard]] std::string describe_end(int wait_status);

} // namespace manypath::keeper
