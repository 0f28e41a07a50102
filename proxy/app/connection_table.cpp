// SPDX-License-Identifier: Apache-2.0
#include "proxy/app/connection_table.hpp"

#include "proxy/app/connection_log.hpp"

#include <utility>

namespace manypath {

void connection_table::add(connection about, std::unique_ptr<stream> client,
                           std::unique_ptr<stream> server, std::vector<std::byte> early)
{
    const auto& limits = about.share.of().timeouts;
    auto relays =
        relay::create(std::move(client), std::move(server),
                      relay_limits{.idle = limits.idle, .half_close = limits.half_close}, pipes_);
    const auto place = entries_.insert(entries_.end(), entry{std::move(about), relays});
    relays->start(std::move(early), [this, place](const relay_report& report) {
        log_end(place->about, report, clock::now());
        entries_.erase(place);
        released_();
    });
}

/// An action may end its connection, which erases the entry.
template <typename Action>
void connection_table::for_each(Action action)
{
    for (auto at = entries_.begin(); at != entries_.end();) {
        const std::shared_ptr<relay> current = at->relays;
        ++at;
        action(*current);
    }
}

void connection_table::check(clock::time_point now)
{
    for_each([now](relay& r) { r.check(now); });
}

void connection_table::abort_all()
{
    for_each([](relay& r) { r.abort(); });
}

std::vector<control::connection_state> connection_table::states(clock::time_point now) const
{
    std::vector<control::connection_state> all;
    all.reserve(entries_.size());
    for (const auto& [about, relays] : entries_) {
        relay_report report = relays->snapshot();
        control::connection_state state;
        state.listener = about.share.of().listener.name;
        state.client = about.client;
        state.to = to_string(about.to);
        state.client_side = std::move(report.client);
        state.server_side = std::move(report.server);
        state.bytes_to_server = report.bytes_to_server;
        state.bytes_to_client = report.bytes_to_client;
        state.age = std::chrono::duration_cast<std::chrono::seconds>(now - about.since);
        all.push_back(std::move(state));
    }
    return all;
}

} // namespace manypath
