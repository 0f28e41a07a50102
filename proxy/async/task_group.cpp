// SPDX-License-Identifier: Apache-2.0
#include "proxy/async/task_group.hpp"

#include "proxy/log/log.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <exception>
#include <utility>

namespace manypath {

void task_group::spawn(std::string name, asio::awaitable<void> task)
{
    const auto entry = running_.emplace(running_.end());
    auto done = [this, entry, name = std::move(name)](std::exception_ptr failure) {
        running_.erase(entry);
        if (!failure)
            return;
        try {
            std::rethrow_exception(failure);
        } catch (const std::exception& e) {
            log::error("{}: {}", name, e.what());
        }
    };
    asio::co_spawn(context_, std::move(task),
                   asio::bind_cancellation_slot(entry->slot(), std::move(done)));
}

void task_group::cancel()
{
    // A cancelled task may end inside emit() and erase its own entry, so step on first.
    for (auto entry = running_.begin(); entry != running_.end();) {
        const auto current = entry++;
        current->emit(asio::cancellation_type::terminal);
    }
}

} // namespace manypath
