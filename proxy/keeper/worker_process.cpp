// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/worker_process.hpp"

#include "proxy/keeper/janitor.hpp"
#include "proxy/log/log.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

namespace manypath::keeper {

namespace {

using clock = std::chrono::steady_clock;

/// Opening a few thousand acceptors takes milliseconds; a worker that needs this long is stuck.
constexpr std::chrono::seconds patience{10};

/// The keeper has more to do than to wait until a stuck worker reads.
void bound_sending(int socket)
{
    const timeval limit{.tv_sec = patience.count(), .tv_usec = 0};
    (void)::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

/// Signals go to the keeper alone, which turns them into orders; terminals and systemd send them
/// to the whole group.
void leave_signals_to_the_keeper()
{
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE})
        (void)std::signal(number, SIG_IGN);
    sigset_t none;
    sigemptyset(&none);
    (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
}

[[noreturn]] void be_the_worker(const worker_main& body, const drop_options& options, channel mine,
                                int alive_pipe)
{
    leave_signals_to_the_keeper();
    close_all_but({mine.native_handle(), alive_pipe});
    auto dropped = drop_privileges(options);
    if (dropped)
        dropped = prove_dropped(options);
    if (!dropped) {
        log::error("the worker does not start: {}", dropped.error());
        ::_exit(EXIT_FAILURE);
    }
    ::_exit(body(std::move(mine)));
}

bool wait_readable(int fd, clock::time_point deadline)
{
    for (;;) {
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - clock::now());
        if (left.count() <= 0)
            return false;
        pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
        const int ready = ::poll(&p, 1, static_cast<int>(left.count()));
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
    }
}

} // namespace

std::expected<worker_process, std::string>
worker_process::start(const worker_main& body, drop_options options, int alive_pipe)
{
    auto ends = channel::make_pair();
    if (!ends)
        return std::unexpected{ends.error().message()};
    options.keeper = ::getpid();
    const pid_t child = ::fork();
    if (child < 0)
        return std::unexpected{std::generic_category().message(errno)};
    if (child == 0)
        be_the_worker(body, options, std::move(ends->second), alive_pipe);
    bound_sending(ends->first.native_handle());
    return worker_process{child, std::move(ends->first)};
}

std::expected<void, std::string> worker_process::configure_with(configure c, bool& wishes)
{
    if (const auto failed = channel_.send(order{std::move(c)})) {
        kill();
        return std::unexpected{"the worker cannot be told: " + failed.message()};
    }
    const auto deadline = clock::now() + patience;
    while (wait_readable(channel_.native_handle(), deadline)) {
        const auto said = channel_.receive_report();
        if (!said) {
            kill();
            return std::unexpected{"the worker does not answer: " + said.error().message()};
        }
        if (std::holds_alternative<serving>(*said))
            return {};
        if (const auto* why = std::get_if<refused>(&*said))
            return std::unexpected{why->reason};
        wishes = true;
    }
    kill();
    return std::unexpected{std::string{"the worker does not answer and is killed"}};
}

void worker_process::kill() const noexcept
{
    if (pid_ > 0)
        (void)::kill(pid_, SIGKILL);
}

std::string describe_end(int wait_status)
{
    if (WIFEXITED(wait_status))
        return fmt::format("ended with status {}", WEXITSTATUS(wait_status));
    return fmt::format("was killed by signal {} ({})", WTERMSIG(wait_status),
                       ::strsignal(WTERMSIG(wait_status)));
}

} // namespace manypath::keeper
