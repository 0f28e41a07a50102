// janitor.hpp: the process that undoes what the gateway did, however the gateway ends.
//
// Nobody can catch SIGKILL, but everybody's pipe is closed at the end. The janitor sleeps on such a
// pipe, whose other end only keeper and worker hold, then works through the journal. The ordinary
// end takes the same way, so that this way is always tried.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/unique_fd.hpp"
#include "proxy/keeper/journal.hpp"

#include <expected>
#include <initializer_list>
#include <string>
#include <sys/types.h>

namespace manypath::keeper {

class janitor {
public:
    /// Forks; call it before any thread exists.
    /// @param book  outlives the janitor
    /// @param lock  kept open by the janitor until all is undone; -1 for none
    [[nodiscard]] static std::expected<janitor, std::string> start(journal& book, int lock);

    /// Starts another, in the place of the first if that still lives.
    [[nodiscard]] std::expected<void, std::string> restart(int lock);

    [[nodiscard]] pid_t pid() const noexcept { return pid_; } ///< -1 after has_ended()
    void has_ended() noexcept { pid_ = -1; }                  ///< somebody has waited for it

    /// The end of the pipe that the worker has to inherit, so that nothing is undone under it.
    [[nodiscard]] int alive_pipe() const noexcept { return keepers_end_.get(); }

    /// Lets the janitor undo everything and waits for its end; does its work where there is none,
    /// where it was killed, or where it does not hear of the end in ten seconds.
    void finish();

private:
    janitor(journal& book, unique_fd janitors_end, unique_fd keepers_end) noexcept
        : book_(&book), janitors_end_(std::move(janitors_end)), keepers_end_(std::move(keepers_end))
    {
    }

    /// @return whether it ended by itself, with everything undone
    [[nodiscard]] bool wait_for_end();

    journal* book_;
    unique_fd janitors_end_;
    unique_fd keepers_end_;
    pid_t pid_ = -1;
};

/// Closes every descriptor but standard input, output, error and these; for a child after fork.
void close_all_but(std::initializer_list<int> kept);

} // namespace manypath::keeper
