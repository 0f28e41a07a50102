// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/changes.hpp"

#include "proxy/log/log.hpp"

#include <algorithm>
#include <ranges>

namespace manypath::keeper {

namespace {

/// Belongs to a path that can go while the gateway runs.
bool ends_with_its_path(const step& s, const std::string& path)
{
    return !path.empty() && !std::holds_alternative<sysctl_setting>(s) &&
           !std::holds_alternative<raised_limits>(s);
}

/// A path is one of several, and in many containers nobody may write a sysctl; the gateway is of
/// use without.
bool is_vital(const planned_step& p)
{
    return p.path.empty() && !std::holds_alternative<sysctl_setting>(p.what);
}

std::string owner(const planned_step& p)
{
    return p.path.empty() ? std::string{} : "path \"" + p.path + "\": ";
}

void undo_or_warn(const step& s)
{
    if (const auto undone = undo(s); !undone)
        log::warning("cannot undo the {}: {}", describe(s), undone.error());
}

} // namespace

std::expected<void, std::string> changes::acquire(const plan& wanted)
{
    moves_.clear();
    complaints_.clear();
    for (const planned_step& p : wanted.steps) {
        if (std::ranges::any_of(held_, [&](const held& h) { return h.wanted == p.what; }))
            continue;
        drop_competitors(p);
        const auto made = make_one(p);
        if (made)
            continue;
        const std::string why = owner(p) + describe(p.what) + ": " + made.error();
        if (!is_vital(p)) {
            complaints_.push_back(why);
            continue;
        }
        roll_back();
        return std::unexpected{why};
    }
    return {};
}

void changes::drop_competitors(const planned_step& p)
{
    for (std::size_t i = held_.size(); i-- > 0;)
        if (compete(held_[i].wanted, p.what)) {
            moves_.push_back({.made = false, .what = held_[i]});
            drop(i);
        }
}

std::expected<void, std::string> changes::make_one(const planned_step& p)
{
    held h{.number = 0, .wanted = p.what, .made = p.what, .path = p.path};
    const auto needed = prepare(h.made);
    if (!needed)
        return std::unexpected{needed.error()};
    if (!*needed) {
        if (!p.path.empty())
            complaints_.push_back(owner(p) + "the " + describe(p.what) +
                                  " exists already and stays as it is");
        return {};
    }
    auto made = put_in_force(h);
    if (made)
        moves_.push_back({.made = true, .what = held_.back()});
    return made;
}

std::expected<void, std::string> changes::put_in_force(held h)
{
    const auto number = book_.record(h.made);
    if (!number)
        return std::unexpected{number.error()};
    h.number = *number;
    if (const auto made = make(h.made); !made) {
        book_.forget(*number);
        return made;
    }
    log::debug("made the {}", describe(h.made));
    held_.push_back(std::move(h));
    return {};
}

void changes::drop(std::size_t index)
{
    undo_or_warn(held_[index].made);
    book_.forget(held_[index].number);
    held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(index));
}

void changes::roll_back()
{
    for (const move& m : moves_ | std::views::reverse) {
        if (!m.made) {
            if (const auto again = put_in_force(m.what); !again)
                log::error("cannot restore the {}: {}", describe(m.what.made), again.error());
            continue;
        }
        const auto found = std::ranges::find(held_, m.what.number, &held::number);
        if (found != held_.end())
            drop(static_cast<std::size_t>(found - held_.begin()));
    }
    moves_.clear();
}

void changes::release(const plan& wanted)
{
    moves_.clear();
    for (std::size_t i = held_.size(); i-- > 0;) {
        const bool still = std::ranges::any_of(
            wanted.steps, [&](const planned_step& p) { return p.what == held_[i].wanted; });
        if (!still && ends_with_its_path(held_[i].made, held_[i].path))
            drop(i);
    }
}

void changes::repair()
{
    for (const held& h : held_)
        if (std::holds_alternative<route>(h.made) && !h.path.empty() && make(h.made))
            log::info("path \"{}\": the {} is back", h.path, describe(h.made));
}

std::expected<void, std::string> changes::note(const step& s)
{
    const auto number = book_.record(s);
    if (!number)
        return std::unexpected{number.error()};
    held_.push_back({.number = *number, .wanted = s, .made = s, .path = {}});
    return {};
}

} // namespace manypath::keeper
