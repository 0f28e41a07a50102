// shadow_table.hpp: the options that a program set and an MPTCP socket refused.
//
// No lock, because a signal handler or a vfork child may enter it while its own thread is in the
// middle of a change: each entry has a version, odd while it is written. A writer that meets an odd
// one takes another entry, a reader passes over it, and nobody ever waits. What a killed vfork
// child left half written costs one entry.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace manypath::preload {

struct socket_option {
    /// Enough for every option that is worth remembering (the longest is in6_flowlabel_req).
    static constexpr std::size_t capacity_bytes = 32;

    int level = 0;
    int name = 0;
    std::uint32_t length_bytes = 0;
    std::uint32_t kept = 0; ///< 1: refused after the fallback as well, so not tried again
    std::array<std::uint32_t, capacity_bytes / 4> value{};
};

class shadow_table {
public:
    /// Options of one socket; a program that set all that MPTCP refuses and TCP takes on one
    /// socket would need more, none known sets more than five.
    static constexpr std::size_t options_per_socket = 16;

    struct option_list {
        std::array<socket_option, options_per_socket> options;
        std::size_t size = 0;
        const socket_option* begin() const { return options.data(); }
        const socket_option* end() const { return options.data() + size; }
    };

    /// False only as long as nothing was ever stored.
    [[nodiscard]] bool used() const { return used_.load(std::memory_order_relaxed); }

    /// Replaces the value this socket has for the option, else takes a free entry, else that of
    /// the socket not used for longest, whose option reads as TCP's default from then on.
    void store(std::uint64_t cookie, const socket_option& option);
    void erase(std::uint64_t cookie, int level, int name);

    [[nodiscard]] bool holds(std::uint64_t cookie, int level, int name) const;
    /// The socket's options in the order in which they were set.
    [[nodiscard]] option_list list(std::uint64_t cookie) const;
    /// Moves the socket's options to the end of the line for eviction.
    void touch(std::uint64_t cookie);

private:
    /// 256 x 16 entries of 64 bytes: four options on each of 1024 sockets, the default limit of
    /// descriptors. 256 KiB of address space; only pages in use take memory.
    static constexpr std::size_t set_count = 256;

    struct alignas(64) entry {
        std::atomic<std::uint32_t> version{0};
        std::atomic<std::uint32_t> order{0};   ///< of the set, for replay in the same order
        std::atomic<std::uint32_t> touched{0}; ///< the lowest is evicted first
        std::atomic<std::uint32_t> sizes{0};   ///< length_bytes, and `kept` in bit 31
        std::atomic<std::uint64_t> cookie{0};  ///< 0: free
        std::atomic<std::int32_t> level{0};
        std::atomic<std::int32_t> name{0};
        std::array<std::atomic<std::uint32_t>, socket_option::capacity_bytes / 4> value{};
    };
    using entry_set = std::array<entry, options_per_socket>;

    struct snapshot {
        std::uint64_t cookie = 0;
        std::uint32_t order = 0;
        socket_option option;
    };

    static bool read(const entry& from, snapshot& to);
    static bool write(entry& to, std::uint64_t cookie, const socket_option& option,
                      std::uint32_t order, std::uint32_t now);
    static entry* victim(entry_set& set, std::uint32_t now);
    static std::size_t set_index(std::uint64_t cookie);

    std::array<entry_set, set_count> sets_{};
    std::atomic<std::uint32_t> clock_{0};
    std::atomic<bool> used_{false};
};

} // namespace manypath::preload
