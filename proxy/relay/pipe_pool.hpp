// pipe_pool.hpp: what the relays of one thread share: pipes to splice through, and one buffer.
//
// A connection borrows a pipe only while data flows, so idle connections cost neither memory nor
// descriptors, and the number of pipes is bounded: whoever gets none copies instead.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/unique_fd.hpp"

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

namespace manypath {

struct splice_pipe {
    unique_fd exit;  ///< read from here
    unique_fd entry; ///< write to here
    std::size_t held_bytes = 0;
    [[nodiscard]] explicit operator bool() const noexcept { return static_cast<bool>(exit); }
};

/// Belongs to one thread and outlives its relays.
class pipe_pool {
public:
    /// An unprivileged user gets 64 MiB of pipes from the kernel (fs.pipe-user-pages-soft),
    /// which are 256 of these.
    static constexpr std::size_t pipe_bytes = 262'144;
    static constexpr std::size_t scratch_bytes = 65'536;

    /// Ignores SIGPIPE for the whole process, because splice(2) knows no MSG_NOSIGNAL.
    /// @param most  pipes lent or kept at the same time
    explicit pipe_pool(std::size_t most = 128);

    /// @return an empty pipe, or nothing: all are lent, descriptors ran out, or the kernel gives
    ///         this user no more pages
    [[nodiscard]] splice_pipe take() noexcept;

    /// Takes a pipe back; one that still holds data is closed.
    void give_back(splice_pipe pipe) noexcept;

    /// For bytes that leave again before the event loop goes on.
    [[nodiscard]] std::span<std::byte> scratch() noexcept
    {
        return {scratch_.get(), scratch_bytes};
    }

private:
    std::size_t most_;
    std::size_t lent_ = 0;
    std::vector<splice_pipe> idle_;
    std::unique_ptr<std::byte[]> scratch_;
};

} // namespace manypath
