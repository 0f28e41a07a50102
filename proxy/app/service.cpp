// SPDX-License-Identifier: Apache-2.0
#include "proxy/app/service.hpp"

#include <algorithm>
#include <string>

namespace manypath {

namespace {

std::shared_ptr<listener_counters> counters_of(const std::string& name, const service_list& before)
{
    const auto known = std::find_if(before.begin(), before.end(),
                                    [&name](const auto& s) { return s->listener.name == name; });
    return known != before.end() ? (*known)->counters : std::make_shared<listener_counters>();
}

} // namespace

service_list make_services(const config::configuration& from, const service_list& before,
                           bool mptcp)
{
    const auto own = std::make_shared<const own_listeners>(from.listeners);
    service_list all;
    for (const auto& listener : from.listeners) {
        auto made = std::make_shared<service>();
        made->listener = listener;
        if (!mptcp)
            made->listener.dial = protocol::tcp;
        made->timeouts = from.timeouts;
        made->own = own;
        made->counters = counters_of(listener.name, before);
        all.push_back(std::move(made));
    }
    return all;
}

connection_share::connection_share(accept_budget& budget, std::shared_ptr<const service> of)
    : budget_(&budget), of_(std::move(of))
{
    budget_->take();
    ++of_->counters->accepted;
    ++of_->counters->active;
}

connection_share::~connection_share()
{
    if (budget_ == nullptr)
        return;
    budget_->give_back();
    --of_->counters->active;
}

} // namespace manypath
