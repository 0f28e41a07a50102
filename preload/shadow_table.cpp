// shadow_table.cpp: reading and writing entries that others may be changing at the same moment.
//
// SPDX-License-Identifier: Apache-2.0
#include "preload/shadow_table.hpp"

namespace manypath::preload {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;
constexpr std::uint32_t kept_bit = 0x8000'0000U;

/// `a` was taken before `b` from a clock that wraps.
bool earlier(std::uint32_t a, std::uint32_t b)
{
    return static_cast<std::int32_t>(a - b) < 0;
}

} // namespace

std::size_t shadow_table::set_index(std::uint64_t cookie)
{
    // Cookies are handed out in batches per CPU; the multiplication spreads neighbours.
    return static_cast<std::size_t>((cookie * 0x9e37'79b9'7f4a'7c15ULL) >> 56) % set_count;
}

bool shadow_table::read(const entry& from, snapshot& to)
{
    const std::uint32_t version = from.version.load(std::memory_order_acquire);
    if ((version & 1U) != 0)
        return false;
    to.cookie = from.cookie.load(relaxed);
    to.order = from.order.load(relaxed);
    const std::uint32_t sizes = from.sizes.load(relaxed);
    to.option.length_bytes = sizes & ~kept_bit;
    to.option.kept = sizes >> 31;
    to.option.level = from.level.load(relaxed);
    to.option.name = from.name.load(relaxed);
    for (std::size_t i = 0; i < to.option.value.size(); ++i)
        to.option.value[i] = from.value[i].load(relaxed);
    std::atomic_thread_fence(std::memory_order_acquire);
    return from.version.load(relaxed) == version;
}

bool shadow_table::write(entry& to, std::uint64_t cookie, const socket_option& option,
                         std::uint32_t order, std::uint32_t now)
{
    std::uint32_t version = to.version.load(relaxed);
    if ((version & 1U) != 0 ||
        !to.version.compare_exchange_strong(version, version + 1, std::memory_order_acquire))
        return false;
    std::atomic_thread_fence(std::memory_order_release);
    to.cookie.store(cookie, relaxed);
    to.order.store(order, relaxed);
    to.touched.store(now, relaxed);
    to.sizes.store(option.length_bytes | (option.kept << 31), relaxed);
    to.level.store(option.level, relaxed);
    to.name.store(option.name, relaxed);
    for (std::size_t i = 0; i < option.value.size(); ++i)
        to.value[i].store(option.value[i], relaxed);
    to.version.store(version + 2, std::memory_order_release);
    return true;
}

shadow_table::entry* shadow_table::victim(entry_set& set, std::uint32_t now)
{
    entry* oldest = nullptr;
    std::uint32_t oldest_touch = now;
    for (entry& candidate : set) {
        if ((candidate.version.load(relaxed) & 1U) != 0)
            continue;
        if (candidate.cookie.load(relaxed) == 0)
            return &candidate;
        const std::uint32_t touch = candidate.touched.load(relaxed);
        if (oldest == nullptr || earlier(touch, oldest_touch)) {
            oldest = &candidate;
            oldest_touch = touch;
        }
    }
    return oldest;
}

void shadow_table::store(std::uint64_t cookie, const socket_option& option)
{
    entry_set& set = sets_[set_index(cookie)];
    const std::uint32_t now = clock_.fetch_add(1, relaxed);
    used_.store(true, relaxed);
    for (entry& candidate : set) {
        snapshot found;
        const bool same = read(candidate, found) && found.cookie == cookie &&
                          found.option.level == option.level && found.option.name == option.name;
        // A change of `kept` alone leaves the option in its place of the order.
        const std::uint32_t order = same && option.kept != 0 ? found.order : now;
        if (same && write(candidate, cookie, option, order, now))
            return;
    }
    // Another thread may win the entry between choice and write; the set has as many others.
    for (std::size_t attempt = 0; attempt < set.size(); ++attempt) {
        entry* chosen = victim(set, now);
        if (chosen == nullptr || write(*chosen, cookie, option, now, now))
            return;
    }
}

void shadow_table::erase(std::uint64_t cookie, int level, int name)
{
    for (entry& candidate : sets_[set_index(cookie)]) {
        snapshot found;
        if (read(candidate, found) && found.cookie == cookie && found.option.level == level &&
            found.option.name == name)
            write(candidate, 0, {}, 0, 0);
    }
}

bool shadow_table::holds(std::uint64_t cookie, int level, int name) const
{
    for (const entry& candidate : sets_[set_index(cookie)]) {
        snapshot found;
        if (read(candidate, found) && found.cookie == cookie && found.option.level == level &&
            found.option.name == name)
            return true;
    }
    return false;
}

shadow_table::option_list shadow_table::list(std::uint64_t cookie) const
{
    option_list result;
    std::array<std::uint32_t, options_per_socket> orders{};
    if (cookie == 0)
        return result;
    for (const entry& candidate : sets_[set_index(cookie)]) {
        snapshot found;
        if (!read(candidate, found) || found.cookie != cookie)
            continue;
        std::size_t place = result.size++;
        for (; place > 0 && earlier(found.order, orders[place - 1]); --place) {
            orders[place] = orders[place - 1];
            result.options[place] = result.options[place - 1];
        }
        orders[place] = found.order;
        result.options[place] = found.option;
    }
    return result;
}

void shadow_table::touch(std::uint64_t cookie)
{
    const std::uint32_t now = clock_.fetch_add(1, relaxed);
    for (entry& candidate : sets_[set_index(cookie)])
        if (candidate.cookie.load(relaxed) == cookie)
            candidate.touched.store(now, relaxed);
}

} // namespace manypath::preload
