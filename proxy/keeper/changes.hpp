// changes.hpp: the steps that are in force, and the way from one plan to the next.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/keeper/journal.hpp"
#include "proxy/keeper/plan.hpp"

#include <expected>
#include <string>
#include <vector>

namespace manypath::keeper {

class changes {
public:
    /// @param book  outlives this; its end undoes everything
    explicit changes(journal& book) : book_(book) {}

    /// Makes what is in `wanted` and not in force yet. What fails for a path is a complaint, and
    /// the other paths work; so is a sysctl. Anything else puts back what this call has done.
    /// @return why nothing has changed
    [[nodiscard]] std::expected<void, std::string> acquire(const plan& wanted);

    /// What the last acquire() could not make, or found made by somebody else.
    [[nodiscard]] const std::vector<std::string>& complaints() const noexcept
    {
        return complaints_;
    }

    /// Puts back what the last acquire() has done.
    void roll_back();

    /// Undoes what `wanted` has no more. Limits, sysctls and the way to transparent sockets stay
    /// till the end, because running connections need them.
    void release(const plan& wanted);

    /// Makes the routes of paths again that the kernel dropped with their interface.
    void repair();

    /// Writes down a step that the caller makes after this.
    [[nodiscard]] std::expected<void, std::string> note(const step& s);

private:
    struct held {
        std::uint64_t number = 0;
        step wanted; ///< as planned, to find it again
        step made;
        std::string path;
    };
    struct move {
        bool made = false; ///< else undone
        held what;
    };

    [[nodiscard]] std::expected<void, std::string> make_one(const planned_step& p);
    void drop_competitors(const planned_step& p);
    void drop(std::size_t index);
    [[nodiscard]] std::expected<void, std::string> put_in_force(held h);

    journal& book_;
    std::vector<held> held_;
    std::vector<move> moves_;
    std::vector<std::string> complaints_;
};

} // namespace manypath::keeper
