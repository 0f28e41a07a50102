// journal.hpp: what has to be undone, in a file that outlives every process of the gateway.
//
// A step is written before it is made, so that no kill at any moment leaves one unknown. The file
// lies beside the control socket, and its lock says which gateway that socket belongs to.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/unique_fd.hpp"
#include "proxy/keeper/step.hpp"

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

namespace manypath::keeper {

struct recorded_step {
    std::uint64_t number = 0;
    step what;
};

class journal {
public:
    /// Opens and locks `file`, waiting a moment for a gateway that is about to end.
    /// @return why it cannot be had; a running gateway that holds it is named as such, and a file
    ///         that another user may have written is refused
    [[nodiscard]] static std::expected<journal, std::string> open(const std::string& file);

    /// Steps in the order in which they were made.
    [[nodiscard]] std::vector<recorded_step> pending() const;

    /// Whether pending() was made in this network namespace since this boot.
    [[nodiscard]] bool is_of_this_network() const;

    /// Undoes what a gateway left that was killed with all of its processes, and begins afresh.
    /// Another namespace's work is out of reach and only thrown away. What happens is logged.
    /// @return whether the directory was made by that gateway
    bool undo_leftovers();

    /// @return the number for forget(); not before this returns may the step be made
    [[nodiscard]] std::expected<std::uint64_t, std::string> record(const step& s);
    void forget(std::uint64_t number);

    /// Undoes what is pending, the last one first, then removes the file. What cannot be undone
    /// is logged.
    void undo_all();

    [[nodiscard]] int native_handle() const noexcept { return file_.get(); }

private:
    journal(unique_fd file, std::string name) noexcept
        : file_(std::move(file)), name_(std::move(name))
    {
    }

    static void undo_in_reverse(const std::vector<recorded_step>& steps);

    unique_fd file_;
    std::string name_;
    std::uint64_t last_ = 0;
};

} // namespace manypath::keeper
