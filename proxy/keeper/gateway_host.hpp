// gateway_host.hpp: everything a gateway has on its host, and the way from one configuration to
// the next.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/keeper/changes.hpp"
#include "proxy/keeper/janitor.hpp"
#include "proxy/keeper/journal.hpp"
#include "proxy/keeper/keeper.hpp"
#include "proxy/keeper/listeners.hpp"
#include "proxy/keeper/network_monitor.hpp"
#include "proxy/keeper/privileges.hpp"
#include "proxy/keeper/ruleset.hpp"
#include "proxy/keeper/worker_process.hpp"

#include <chrono>
#include <expected>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace manypath::keeper {

/// Call start() once; after a failure only finish() may follow.
class gateway_host {
public:
    explicit gateway_host(const keeper_options& options) : options_(options) {}

    /// Acquires everything and starts the worker.
    [[nodiscard]] std::expected<void, std::string>
    start(const config::configuration& first, const std::string& text, const worker_main& body);

    /// Reads the configuration file again. After an error everything is as it was.
    [[nodiscard]] std::expected<void, std::string> reload();

    /// The worker asks for a reload, now or while it is being told of another one.
    void wish_reload() noexcept { wishes_ = true; }
    [[nodiscard]] bool has_wish() const noexcept { return wishes_; }
    [[nodiscard]] bool take_wish() noexcept { return std::exchange(wishes_, false); }

    /// Adapts paths to interfaces that have come, gone or changed.
    void follow_network();
    [[nodiscard]] int network_events() const noexcept;
    void drain_network_events() const;

    /// Closes the listening sockets and lets the worker finish what runs.
    void drain();

    /// Ends the worker if it still lives, and undoes everything.
    void finish();

    [[nodiscard]] worker_process& worker() { return *worker_; }
    void worker_has_ended() noexcept { worker_->has_ended(); }
    [[nodiscard]] pid_t janitor_pid() const noexcept { return janitor_->pid(); }
    void janitor_has_ended() noexcept { janitor_->has_ended(); }
    [[nodiscard]] std::expected<void, std::string> restart_janitor();

    [[nodiscard]] const std::string& file() const noexcept { return options_.file; }
    [[nodiscard]] std::chrono::seconds drain_time() const { return running_.timeouts.drain; }
    [[nodiscard]] std::string summary() const; ///< for status lines

private:
    using outcome = std::expected<void, std::string>;

    [[nodiscard]] outcome look_at_system(const config::configuration& first);
    [[nodiscard]] outcome open_books(const config::configuration& first);
    [[nodiscard]] outcome start_worker(const config::configuration& first, const worker_main& body);
    [[nodiscard]] outcome switch_to(const config::configuration& wanted, const std::string& text);
    [[nodiscard]] outcome acquire(const config::configuration& wanted, const plan& steps);
    [[nodiscard]] outcome tell_worker(const std::string& text, const listener_set& listeners);
    [[nodiscard]] outcome put_rules(const config::configuration& wanted);
    [[nodiscard]] outcome claim_if_needed(const config::configuration& wanted);
    [[nodiscard]] std::expected<plan, std::string> plan_for(const config::configuration& wanted);
    void log_news(const plan& steps);
    void go_back(const config::configuration& to);

    keeper_options options_;
    bool mptcp_ = true;
    powers powers_;
    account account_;
    std::optional<journal> journal_;
    std::optional<janitor> janitor_;
    std::optional<changes> changes_;
    unique_fd claim_;
    unique_fd control_; ///< until the worker has it
    std::optional<ruleset> rules_;
    std::string chains_; ///< in force
    std::optional<network_monitor> monitor_;
    listener_set listeners_;
    path_tables tables_;
    std::vector<std::string> warnings_; ///< logged already
    std::optional<worker_process> worker_;
    bool wishes_ = false;
    config::configuration started_;
    config::configuration running_;
};

} // namespace manypath::keeper
