// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/janitor.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace manypath::keeper {

namespace {

/// Terminals and systemd send these to every process of the group; the janitor ends last.
void ignore_signals()
{
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE})
        (void)std::signal(number, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
}

void wait_for_end_of(int pipe)
{
    std::array<char, 64> ignored{};
    for (;;) {
        const ssize_t size = ::read(pipe, ignored.data(), ignored.size());
        if (size == 0 || (size < 0 && errno != EINTR))
            return;
    }
}

/// Undoing takes milliseconds. A janitor that needs this long does not hear of the end, because
/// the pipe is held open by a process that the worker, taken over, has left behind.
constexpr int end_attempts = 200;
constexpr int end_interval_ms = 50;

/// Leaves the child to be waited for.
bool ends_in_time(pid_t child)
{
    for (int attempt = 0; attempt < end_attempts; ++attempt) {
        siginfo_t info{};
        const int failed =
            ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT);
        if (failed != 0 || info.si_pid == child)
            return true;
        ::poll(nullptr, 0, end_interval_ms);
    }
    return false;
}

} // namespace

void close_all_but(std::initializer_list<int> kept)
{
    std::vector<int> sorted{kept};
    std::ranges::sort(sorted);
    unsigned next = STDERR_FILENO + 1;
    for (const int fd : sorted) {
        if (fd < 0)
            continue;
        const auto number = static_cast<unsigned>(fd);
        if (number > next)
            (void)::close_range(next, number - 1, 0);
        next = std::max(next, number + 1);
    }
    (void)::close_range(next, ~0U, 0);
}

std::expected<janitor, std::string> janitor::start(journal& book, int lock)
{
    std::array<int, 2> ends{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return std::unexpected{std::generic_category().message(errno)};
    janitor result{book, unique_fd{ends[0]}, unique_fd{ends[1]}};
    if (const auto started = result.restart(lock); !started)
        return std::unexpected{started.error()};
    return result;
}

std::expected<void, std::string> janitor::restart(int lock)
{
    if (pid_ > 0) {
        (void)::kill(pid_, SIGKILL);
        (void)wait_for_end();
    }
    const pid_t child = ::fork();
    if (child < 0)
        return std::unexpected{std::generic_category().message(errno)};
    if (child > 0) {
        pid_ = child;
        return {};
    }
    ignore_signals();
    ::prctl(PR_SET_NAME, "manypath-undo");
    close_all_but({janitors_end_.get(), book_->native_handle(), lock});
    wait_for_end_of(janitors_end_.get());
    book_->undo_all();
    ::_exit(EXIT_SUCCESS);
}

void janitor::finish()
{
    keepers_end_.reset();
    janitors_end_.reset();
    if (pid_ > 0 && !ends_in_time(pid_))
        (void)::kill(pid_, SIGKILL);
    if (!wait_for_end())
        book_->undo_all();
}

bool janitor::wait_for_end()
{
    int how = 0;
    pid_t ended = -1;
    if (pid_ > 0)
        while ((ended = ::waitpid(pid_, &how, 0)) < 0 && errno == EINTR) {
        }
    pid_ = -1;
    return ended > 0 && WIFEXITED(how) && WEXITSTATUS(how) == EXIT_SUCCESS;
}

} // namespace manypath::keeper
