// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/supervise.hpp"

#include "preload/launcher/socket_watch.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <optional>
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

namespace manypath::launcher {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Looking costs more the more sockets the namespace has, so the pause is a multiple of the cost.
constexpr milliseconds shortest_pause{5};
constexpr milliseconds longest_pause{500};
constexpr int pause_per_cost = 20;

std::error_code last_error()
{
    return {errno, std::generic_category()};
}

/// Blocks what has to be forwarded, as long as it lives; a child restores it before exec.
class signal_scope {
public:
    signal_scope()
    {
        ::sigfillset(&caught_);
        // The first four stop and continue us beside the child, the others are faults of our own.
        for (const int number :
             {SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS})
            ::sigdelset(&caught_, number);
        ::sigprocmask(SIG_BLOCK, &caught_, &before_);
        // A parent that ignores SIGCHLD would make waitpid() lose the status.
        struct sigaction plain{};
        plain.sa_handler = SIG_DFL;
        ::sigaction(SIGCHLD, &plain, &child_action_);
    }
    signal_scope(const signal_scope&) = delete;
    signal_scope& operator=(const signal_scope&) = delete;
    ~signal_scope() { restore(); }

    void restore() const
    {
        ::sigaction(SIGCHLD, &child_action_, nullptr);
        ::sigprocmask(SIG_SETMASK, &before_, nullptr);
    }
    [[nodiscard]] const sigset_t& caught() const { return caught_; }

private:
    sigset_t caught_{};
    sigset_t before_{};
    struct sigaction child_action_{};
};

/// Forwards what processes sent; what the kernel sent (the terminal) the child got as well.
void forward_signals(int signal_fd, pid_t child)
{
    signalfd_siginfo info{};
    while (::read(signal_fd, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
        const auto number = static_cast<int>(info.ssi_signo);
        if (number != SIGCHLD && info.ssi_code <= 0)
            ::kill(child, number);
    }
}

class watcher {
public:
    explicit watcher(const report_file& file) : file_(file)
    {
        if (auto opened = socket_watch::open())
            sockets_ = *std::move(opened);
    }

    /// @return how long to wait before the next look
    milliseconds look()
    {
        const auto begin = steady_clock::now();
        if (sockets_)
            sockets_->look();
        const auto cost =
            std::chrono::ceil<milliseconds>((steady_clock::now() - begin) * pause_per_cost);
        return std::clamp(cost, shortest_pause, longest_pause);
    }

    /// The library's notes, completed by what was seen from outside.
    [[nodiscard]] std::vector<process_record> records() const
    {
        auto records = file_.read();
        for (process_record& process : records) {
            process.still_runs = ::kill(static_cast<pid_t>(process.pid), 0) == 0;
            for (socket_record& socket : process.sockets)
                complete(socket);
        }
        return records;
    }

private:
    void complete(socket_record& socket) const
    {
        const socket_sight sight = sockets_ ? sockets_->seen(socket.cookie) : socket_sight{};
        socket.subflows = std::max(socket.subflows, sight.subflows);
        if (sight.fallback)
            socket.verdict = report::verdict::fallback;
    }

    const report_file& file_;
    std::optional<socket_watch> sockets_;
};

/// @return the wait status of `child`
int wait_for(pid_t child, int signal_fd, watcher& watch)
{
    for (;;) {
        const milliseconds pause = watch.look();
        pollfd waiting{signal_fd, POLLIN, 0};
        if (::poll(&waiting, 1, static_cast<int>(pause.count())) > 0)
            forward_signals(signal_fd, child);
        int status = 0;
        if (::waitpid(child, &status, WNOHANG) == child)
            return status;
    }
}

/// Whether the other end was closed by a successful exec, and not used to report a failure.
bool was_executed(int failure_fd)
{
    char failed = 0;
    ssize_t size = 0;
    do
        size = ::read(failure_fd, &failed, 1);
    while (size < 0 && errno == EINTR);
    return size == 0;
}

} // namespace

std::expected<supervised, std::error_code> supervise(const std::function<int()>& become,
                                                     const report_file& file)
{
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
        return std::unexpected{last_error()};
    const unique_fd failure_in{ends[0]};
    unique_fd failure_out{ends[1]};
    const signal_scope signals;
    const unique_fd signal_fd{::signalfd(-1, &signals.caught(), SFD_CLOEXEC | SFD_NONBLOCK)};
    if (!signal_fd)
        return std::unexpected{last_error()};

    const mptcp_counters before = read_counters();
    const pid_t child = ::fork();
    if (child < 0)
        return std::unexpected{last_error()};
    if (child == 0) {
        signals.restore();
        const int status = become();
        (void)!::write(failure_out.get(), "", 1);
        ::_exit(status);
    }
    failure_out.reset();
    supervised outcome;
    outcome.executed = was_executed(failure_in.get());
    watcher watch{file};
    outcome.wait_status = wait_for(child, signal_fd.get(), watch);
    outcome.processes = watch.records();
    outcome.grown = growth(before, read_counters());
    return outcome;
}

int end_like(int wait_status)
{
    if (WIFEXITED(wait_status))
        return WEXITSTATUS(wait_status);
    const int number = WTERMSIG(wait_status);
    // The program has left its core; ours would overwrite it.
    const rlimit no_core{0, 0};
    ::setrlimit(RLIMIT_CORE, &no_core);
    struct sigaction plain{};
    plain.sa_handler = SIG_DFL;
    ::sigaction(number, &plain, nullptr);
    sigset_t mask;
    ::sigemptyset(&mask);
    ::sigaddset(&mask, number);
    ::sigprocmask(SIG_UNBLOCK, &mask, nullptr);
    (void)::raise(number);
    return 128 + number;
}

} // namespace manypath::launcher
