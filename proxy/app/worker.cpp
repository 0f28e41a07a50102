// SPDX-License-Identifier: Apache-2.0
#include "proxy/app/worker.hpp"

#include "proxy/app/gateway.hpp"
#include "proxy/app/path_states.hpp"
#include "proxy/config/parse.hpp"
#include "proxy/control/server.hpp"
#include "proxy/kernel/mptcp_socket.hpp"
#include "proxy/log/log.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <utility>

namespace manypath {

namespace {

using clock = std::chrono::steady_clock;

/// The keeper reads, validates and acquires before it answers a reload.
constexpr std::chrono::seconds reload_patience{20};

/// Asks the kernel for an MPTCP socket.
/// @return the reason why this host has none; empty where it has
std::string why_no_mptcp()
{
    auto opened = kernel::open_mptcp_socket(AF_INET);
    if (opened) {
        const unique_fd closes{*opened};
        return {};
    }
    return kernel::refuses_mptcp(opened.error()) ? opened.error().message() : std::string{};
}

class worker final : public control::source {
public:
    explicit worker(keeper::channel orders)
        : orders_(std::move(orders)),
          incoming_(context_, orders_.native_handle()),
          reload_answered_(context_)
    {
    }
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;
    ~worker() override { (void)incoming_.release(); }

    int run()
    {
        await_order();
        try {
            context_.run();
        } catch (const std::exception& e) {
            log::error("{}", e.what());
            std::_Exit(EXIT_FAILURE); // the threads cannot be ended in order any more
        }
        return EXIT_SUCCESS;
    }

    asio::awaitable<control::daemon_state> status() override;
    asio::awaitable<std::vector<control::connection_state>> connections() override;
    asio::awaitable<std::vector<control::path_state>> paths() override;
    asio::awaitable<std::string> reload() override;

private:
    void await_order();
    void obey();
    void configure(keeper::configure wanted);
    std::string apply(keeper::configure& wanted);
    std::string start(keeper::configure& wanted, const config::configuration& parsed);
    void tell_reloaded(std::string failure);
    void drain();
    void finish();
    void report(const keeper::report& what);

    keeper::channel orders_;
    asio::io_context context_{1};
    asio::posix::stream_descriptor incoming_;
    asio::steady_timer reload_answered_; ///< cancelled when `reload_outcome_` is known
    bool reload_asked_ = false;
    std::string reload_outcome_;
    config::configuration started_with_;
    config::configuration running_;
    std::string file_;
    std::optional<control::server> control_; ///< outlives questions that wait in the gateway
    std::optional<gateway> gateway_;
    bool draining_ = false;
};

void worker::await_order()
{
    incoming_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code ec) {
        if (!ec)
            obey();
    });
}

void worker::obey()
{
    incoming_.native_non_blocking(false); // the event loop changed it; an order is many frames
    auto received = orders_.receive_order();
    if (!received && received.error() == std::errc::too_many_files_open) {
        report(keeper::refused{"the worker has no descriptors left for the listening sockets"});
        return await_order();
    }
    if (!received) {
        if (!draining_)
            log::error("the keeper is gone ({}); draining", received.error().message());
        drain();
        return; // and nobody to listen to any more
    }
    if (auto* wanted = std::get_if<keeper::configure>(&*received))
        configure(std::move(*wanted));
    else if (auto* done = std::get_if<keeper::reloaded>(&*received))
        tell_reloaded(std::move(done->failure));
    else
        drain();
    await_order();
}

void worker::configure(keeper::configure wanted)
{
    const std::string refusal = apply(wanted);
    if (refusal.empty())
        report(keeper::serving{});
    else
        report(keeper::refused{refusal});
}

void worker::tell_reloaded(std::string failure)
{
    reload_outcome_ = std::move(failure);
    reload_answered_.cancel();
}

/// @return empty, or why everything stays as it was
std::string worker::apply(keeper::configure& wanted)
{
    const auto parsed = config::parse(wanted.text, wanted.file);
    if (!parsed)
        return parsed.error().front();
    if (gateway_) {
        for (const auto& key : config::fixed_at_start(started_with_, *parsed))
            return key + " cannot change while the daemon runs";
    } else if (auto failure = start(wanted, *parsed); !failure.empty()) {
        return failure;
    }
    file_ = wanted.file;
    running_ = *parsed;
    gateway_->serve(running_, std::move(wanted.listeners));
    return {};
}

std::string worker::start(keeper::configure& wanted, const config::configuration& parsed)
{
    const std::string refusal = why_no_mptcp();
    if (!refusal.empty()) {
        if (parsed.backend == config::backend_choice::kernel)
            return "backend \"kernel\": this host refuses MPTCP sockets: " + refusal;
        log::warning("this host refuses MPTCP sockets ({}): all connections will be TCP", refusal);
    }
    gateway_.emplace(context_, wanted.threads, raise_descriptor_limit(), refusal.empty());
    started_with_ = parsed;
    if (wanted.control) {
        control_.emplace(context_, std::move(wanted.control), *this);
        control_->start();
    }
    return {};
}

/// The second time there is no more patience.
void worker::drain()
{
    if (!gateway_) {
        context_.stop();
        return;
    }
    const auto deadline = draining_ ? clock::now() : clock::now() + running_.timeouts.drain;
    draining_ = true;
    gateway_->drain(deadline, [this] { finish(); });
}

/// Lets the control server's clients end, then the event loop.
void worker::finish()
{
    if (control_)
        control_->stop();
    reload_answered_.cancel();
    asio::post(context_, [this] { context_.stop(); });
}

void worker::report(const keeper::report& what)
{
    if (const auto failed = orders_.send(what))
        log::error("the keeper cannot be told: {}", failed.message());
}

asio::awaitable<control::daemon_state> worker::status()
{
    auto state = gateway_->status();
    state.file = file_;
    co_return state;
}

asio::awaitable<std::vector<control::connection_state>> worker::connections()
{
    co_return co_await gateway_->connections();
}

asio::awaitable<std::vector<control::path_state>> worker::paths()
{
    const auto alive = co_await gateway_->connections();
    co_return path_states(running_.paths, alive);
}

asio::awaitable<std::string> worker::reload()
{
    error_code ignored;
    while (reload_asked_) // an answer does not say whose wish it is for
        co_await reload_answered_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    reload_asked_ = true;
    reload_outcome_ = "the keeper does not answer";
    report(keeper::reload_wish{});
    reload_answered_.expires_after(reload_patience);
    co_await reload_answered_.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
    reload_asked_ = false;
    co_return reload_outcome_;
}

} // namespace

int run_worker(keeper::channel orders)
{
    // The keeper alone gets signals and passes them on as orders; systemd and terminals send
    // them to every process of the group.
    for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGPIPE})
        (void)std::signal(number, SIG_IGN);
    try {
        return worker{std::move(orders)}.run();
    } catch (const std::exception& e) {
        log::error("{}", e.what());
        return EXIT_FAILURE;
    }
}

} // namespace manypath
