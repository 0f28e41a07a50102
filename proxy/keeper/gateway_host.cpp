// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/gateway_host.hpp"

#include "proxy/config/parse.hpp"
#include "proxy/keeper/claims.hpp"
#include "proxy/kernel/mptcp_socket.hpp"
#include "proxy/log/log.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <sys/wait.h>

namespace manypath::keeper {

namespace {

std::string join(const std::vector<std::string>& parts, const char* between)
{
    std::string text;
    for (const auto& part : parts)
        text += (text.empty() ? "" : between) + part;
    return text;
}

bool preserves_source(const config::configuration& c)
{
    return std::ranges::any_of(c.listeners,
                               [](const config::listen& l) { return l.preserve_source; });
}

} // namespace

std::expected<void, std::string> gateway_host::start(const config::configuration& first,
                                                     const std::string& text,
                                                     const worker_main& body)
{
    started_ = first;
    auto done = look_at_system(first);
    if (done)
        done = open_books(first);
    if (done)
        done = start_worker(first, body);
    if (done)
        done = switch_to(first, text);
    return done;
}

gateway_host::outcome gateway_host::look_at_system(const config::configuration& first)
{
    const auto opened = kernel::open_mptcp_socket(AF_INET);
    if (opened)
        const unique_fd closes{*opened};
    mptcp_ = opened.has_value();
    if (!mptcp_ && first.backend == config::backend_choice::kernel)
        return std::unexpected{
            "backend = \"kernel\": this host refuses MPTCP sockets: " + opened.error().message() +
            "; `manypath check` says how to mend it, backend = \"auto\" takes "
            "plain TCP instead"};
    powers_ = present_powers();
    if (auto enough = check_powers(first, powers_); !enough)
        return enough;
    account_ = {.user = ::geteuid(), .group = ::getegid(), .own = false};
    if (!powers_.become_user)
        return {};
    const auto found = find_account(options_.worker_user);
    if (!found)
        return std::unexpected{found.error()};
    account_ = *found;
    return {};
}

/// Directory, journal, janitor and control socket: what everything else is written down in.
gateway_host::outcome gateway_host::open_books(const config::configuration& first)
{
    const std::string& socket = first.control.socket;
    const auto made = make_directory_of(socket);
    if (!made)
        return std::unexpected{"control.socket: " + made.error()};
    auto book = journal::open(socket + ".undo");
    if (!book)
        return std::unexpected{"control.socket: " + book.error()};
    journal_.emplace(std::move(*book));
    const bool inherited = journal_->undo_leftovers();
    if (auto claimed = claim_if_needed(first); !claimed)
        return claimed;
    auto watcher = janitor::start(*journal_, claim_.get());
    if (!watcher)
        return std::unexpected{watcher.error()};
    janitor_.emplace(std::move(*watcher));
    changes_.emplace(*journal_);
    if (*made || inherited)
        if (auto noted = changes_->note(directory{socket.substr(0, socket.rfind('/'))}); !noted)
            return noted;
    if (auto noted = changes_->note(socket_file{socket}); !noted)
        return noted;
    auto opened =
        open_control_socket(socket, account_.own ? account_.group : static_cast<gid_t>(-1));
    if (!opened)
        return std::unexpected{"control.socket: " + opened.error()};
    control_ = std::move(*opened);
    return {};
}

gateway_host::outcome gateway_host::start_worker(const config::configuration& first,
                                                 const worker_main& body)
{
    auto started = worker_process::start(
        body,
        {.to = account_, .change_user = powers_.become_user, .keep_raw = preserves_source(first)},
        janitor_->alive_pipe());
    if (!started)
        return std::unexpected{started.error()};
    worker_.emplace(std::move(*started));
    return {};
}

gateway_host::outcome gateway_host::claim_if_needed(const config::configuration& wanted)
{
    if (claim_ || !needs_network(wanted))
        return {};
    auto claimed = claim_network();
    if (!claimed)
        return std::unexpected{claimed.error()};
    claim_ = std::move(*claimed);
    // The claim has to last until everything is undone.
    return janitor_ ? restart_janitor() : outcome{};
}

std::expected<plan, std::string> gateway_host::plan_for(const config::configuration& wanted)
{
    auto network = observe_network();
    if (!network)
        return std::unexpected{"cannot look at the interfaces: " + network.error()};
    return make_plan(wanted, *network, tables_, {.mptcp = mptcp_, .sysctls = powers_.network});
}

/// A condition that lasts is worth one line, not one per look.
void gateway_host::log_news(const plan& steps)
{
    auto warnings = steps.warnings;
    std::ranges::copy(changes_->complaints(), std::back_inserter(warnings));
    for (const auto& w : warnings)
        if (std::ranges::find(warnings_, w) == warnings_.end())
            log::warning("{}", w);
    warnings_ = std::move(warnings);
}

gateway_host::outcome gateway_host::switch_to(const config::configuration& wanted,
                                              const std::string& text)
{
    const auto steps = plan_for(wanted);
    if (!steps)
        return std::unexpected{steps.error()};
    if (auto acquired = acquire(wanted, *steps); !acquired)
        return acquired;
    log_news(*steps);
    auto listeners = listener_set::open(wanted, options_.threads, mptcp_, listeners_);
    outcome done = listeners ? put_rules(wanted) : outcome{std::unexpected{listeners.error()}};
    if (done)
        done = tell_worker(text, *listeners);
    if (!done) {
        go_back(running_);
        return done;
    }
    changes_->release(*steps);
    tables_.keep_only(wanted.paths);
    listeners_ = std::move(*listeners);
    running_ = wanted;
    if (!running_.paths.empty() && !monitor_)
        monitor_.emplace();
    return {};
}

gateway_host::outcome gateway_host::acquire(const config::configuration& wanted, const plan& steps)
{
    if (auto claimed = claim_if_needed(wanted); !claimed)
        return claimed;
    auto acquired = changes_->acquire(steps);
    if (!acquired)
        tables_.keep_only(running_.paths);
    return acquired;
}

void gateway_host::go_back(const config::configuration& to)
{
    if (const auto back = put_rules(to); !back)
        log::error("the former nft rules cannot be restored: {}", back.error());
    changes_->roll_back();
    tables_.keep_only(to.paths);
}

gateway_host::outcome gateway_host::put_rules(const config::configuration& wanted)
{
    std::string chains = intercept_chains(wanted);
    if (chains.empty() && rules_)
        chains = connection_chains();
    if (chains == chains_)
        return {};
    if (!rules_) {
        const bool owned = ruleset::kernel_ties_tables();
        if (!owned && !ruleset::exists())
            if (auto noted = changes_->note(nft_table{table_name}); !noted)
                return noted;
        auto made = ruleset::create(owned);
        if (!made)
            return std::unexpected{"nft table inet manypath: " + made.error() +
                                   " (somebody else has a table of this name?)"};
        rules_.emplace(std::move(*made));
    }
    auto replaced = rules_->replace(chains);
    if (!replaced)
        return std::unexpected{"nft table inet manypath: " + replaced.error()};
    chains_ = chains;
    return {};
}

gateway_host::outcome gateway_host::tell_worker(const std::string& text,
                                                const listener_set& listeners)
{
    auto sockets = listeners.duplicates();
    if (!sockets)
        return std::unexpected{sockets.error()};
    configure c;
    c.file = options_.file;
    c.text = text;
    c.threads = options_.threads;
    c.listeners = std::move(*sockets);
    c.control = std::move(control_);
    return worker_->configure_with(std::move(c), wishes_);
}

gateway_host::outcome gateway_host::reload()
{
    const auto text = config::read_file(options_.file);
    if (!text)
        return std::unexpected{options_.file + ": cannot be read"};
    const auto wanted = config::parse(*text, options_.file);
    if (!wanted)
        return std::unexpected{join(wanted.error(), "; ")};
    if (const auto keys = config::fixed_at_start(started_, *wanted); !keys.empty())
        return std::unexpected{options_.file + ": " + join(keys, ", ") +
                               " cannot change while the daemon runs; restart it"};
    if (auto enough = check_powers(*wanted, powers_); !enough)
        return enough;
    return switch_to(*wanted, *text);
}

void gateway_host::follow_network()
{
    const auto steps = plan_for(running_);
    if (!steps)
        return log::warning("{}", steps.error());
    if (const auto acquired = changes_->acquire(*steps); !acquired)
        return log::warning("{}", acquired.error());
    log_news(*steps);
    changes_->release(*steps);
    changes_->repair();
}

int gateway_host::network_events() const noexcept
{
    return monitor_ ? monitor_->native_handle() : -1;
}

void gateway_host::drain_network_events() const
{
    monitor_->drain();
}

void gateway_host::drain()
{
    listeners_ = {};
    if (const auto failed = worker_->talk().send(order{keeper::drain{}}))
        log::warning("the worker cannot be told to drain: {}", failed.message());
}

std::expected<void, std::string> gateway_host::restart_janitor()
{
    return janitor_->restart(claim_.get());
}

void gateway_host::finish()
{
    if (worker_ && worker_->pid() > 0) {
        worker_->kill();
        while (::waitpid(worker_->pid(), nullptr, 0) < 0 && errno == EINTR) {
        }
        worker_->has_ended();
    }
    listeners_ = {};
    rules_.reset();
    if (janitor_)
        janitor_->finish();
    else if (journal_)
        journal_->undo_all();
}

std::string gateway_host::summary() const
{
    return fmt::format("serving {} listeners on {} addresses, {} paths", running_.listeners.size(),
                       listeners_.size(), running_.paths.size());
}

} // namespace manypath::keeper
