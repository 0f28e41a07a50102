// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/keeper.hpp"

#include "proxy/keeper/gateway_host.hpp"
#include "proxy/keeper/notify.hpp"
#include "proxy/log/log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <poll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

namespace manypath::keeper {

namespace {

using clock = std::chrono::steady_clock;

/// The worker aborts what is left when timeouts.drain is over; this is for doing so.
constexpr std::chrono::seconds drain_margin{5};
/// Interfaces change in bursts; one look after the burst is enough.
constexpr std::chrono::milliseconds network_rest{200};

void raise_descriptor_limit()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)::setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/// From here on signals are read, never delivered, so that nothing is interrupted half-way.
unique_fd take_signals()
{
    sigset_t set;
    sigemptyset(&set);
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGCHLD})
        sigaddset(&set, number);
    (void)::sigprocmask(SIG_BLOCK, &set, nullptr);
    (void)std::signal(SIGPIPE, SIG_IGN);
    return unique_fd{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
}

/// The life of the daemon after the start: signals, children, the worker's wishes.
class life {
public:
    life(gateway_host& host, unique_fd signals) : host_(host), signals_(std::move(signals)) {}

    int run()
    {
        while (!status_) {
            std::array<pollfd, 3> events{
                pollfd{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                pollfd{.fd = worker_talks_ ? host_.worker().talk().native_handle() : -1,
                       .events = POLLIN,
                       .revents = 0},
                pollfd{.fd = host_.network_events(), .events = POLLIN, .revents = 0}};
            if (::poll(events.data(), events.size(), patience()) < 0 && errno != EINTR)
                return EXIT_FAILURE;
            if (events[0].revents != 0)
                read_signals();
            if (events[1].revents != 0)
                hear_worker();
            if (events[2].revents != 0) {
                host_.drain_network_events();
                if (!network_due_)
                    network_due_ = clock::now() + network_rest;
            }
            on_time();
            answer_wish();
        }
        return *status_;
    }

private:
    [[nodiscard]] int patience() const
    {
        if (host_.has_wish())
            return 0;
        auto next = clock::time_point::max();
        for (const auto& due : {deadline_, network_due_})
            if (due && *due < next)
                next = *due;
        if (next == clock::time_point::max())
            return -1;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - clock::now());
        return static_cast<int>(std::max<std::int64_t>(0, left.count()));
    }

    void on_time()
    {
        if (network_due_ && clock::now() >= *network_due_) {
            network_due_.reset();
            if (!deadline_)
                host_.follow_network();
        }
        if (deadline_ && clock::now() >= *deadline_) {
            log::warning("the worker has not ended in time; it is killed");
            host_.worker().kill();
            deadline_ = clock::now() + drain_margin;
        }
    }

    void read_signals()
    {
        signalfd_siginfo info{};
        while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
            switch (info.ssi_signo) {
            case SIGCHLD:
                reap();
                break;
            case SIGHUP:
                (void)reload();
                break;
            default:
                stop();
                break;
            }
        }
    }

    /// @return why the configuration stays as it was; empty where the new one is in force
    std::string reload()
    {
        if (deadline_ || status_)
            return "the daemon is about to end";
        notify_reloading();
        const auto done = host_.reload();
        if (done) {
            log::info("{}: the new configuration is in force", host_.file());
            notify("READY=1\nSTATUS=" + host_.summary());
            return {};
        }
        log::error("the configuration stays as it was: {}", done.error());
        notify("READY=1\nSTATUS=Reload refused: " + done.error());
        return done.error();
    }

    /// A wish that came in the middle of another reload wants the file as it is now. One at a time,
    /// so that a worker that does not stop wishing cannot keep signals from being read.
    void answer_wish()
    {
        if (status_ || !host_.take_wish())
            return;
        const reloaded outcome{reload()};
        if (const auto failed = host_.worker().talk().send(order{outcome}))
            log::warning("the worker cannot be told of the reload: {}", failed.message());
    }

    void stop()
    {
        switch (++stop_requests_) {
        case 1:
            notify("STOPPING=1\nSTATUS=Draining");
            log::info("draining for at most {} s", host_.drain_time().count());
            deadline_ = clock::now() + host_.drain_time() + drain_margin;
            return host_.drain();
        case 2: // the worker resets them; killing it would let them end as if they were complete
            log::info("asked to stop a second time; running connections are aborted");
            deadline_ = clock::now() + drain_margin;
            return host_.drain();
        default:
            host_.worker().kill();
        }
    }

    void reap()
    {
        int how = 0;
        for (pid_t pid = 0; (pid = ::waitpid(-1, &how, WNOHANG)) > 0;) {
            if (pid == host_.worker().pid()) {
                worker_ended(how);
            } else if (pid == host_.janitor_pid()) {
                log::warning("the process that undoes everything at the end {}; starting another",
                             describe_end(how));
                host_.janitor_has_ended();
                if (const auto again = host_.restart_janitor(); !again)
                    log::error("it does not start: {}", again.error());
            }
        }
    }

    void worker_ended(int how)
    {
        worker_talks_ = false;
        host_.worker_has_ended();
        if (deadline_) {
            log::info("the worker {}", describe_end(how));
            status_ = EXIT_SUCCESS;
        } else {
            log::error("the worker {}", describe_end(how));
            status_ = EXIT_FAILURE;
        }
    }

    void hear_worker()
    {
        const auto said = host_.worker().talk().receive_report();
        if (!said) {
            // Its end is told by SIGCHLD; one that sends nonsense is of no use any more.
            worker_talks_ = false;
            if (said.error() != std::errc::not_connected)
                host_.worker().kill();
        } else if (std::holds_alternative<reload_wish>(*said)) {
            host_.wish_reload();
        }
    }

    gateway_host& host_;
    unique_fd signals_;
    bool worker_talks_ = true;
    unsigned stop_requests_ = 0;
    std::optional<clock::time_point> deadline_; ///< while draining
    std::optional<clock::time_point> network_due_;
    std::optional<int> status_;
};

} // namespace

int run(const keeper_options& options, const config::configuration& first, const std::string& text,
        const worker_main& worker)
{
    raise_descriptor_limit();
    unique_fd signals = take_signals();
    gateway_host host{options};
    if (const auto started = host.start(first, text, worker); !started) {
        log::error("{}", started.error());
        host.finish();
        return EXIT_FAILURE;
    }
    notify("READY=1\nSTATUS=" + host.summary());
    log::info("{}", host.summary());
    const int status = life{host, std::move(signals)}.run();
    host.finish();
    return status;
}

} // namespace manypath::keeper
