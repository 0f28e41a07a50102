// report.hpp: the memory in which libmanypath.so tells `manypath run --report` what sockets became.
//
// A file mapped by everybody, not a pipe: a hook may run in a signal handler or in a vfork child
// and may not block, and whatever a killed process had written is still there afterwards. All
// fields are lock-free atomics of a fixed width, so 32-bit and 64-bit processes share one file.
// The launcher creates it, sized sizeof(file) with `magic` and `layout` set and the rest zero,
// and names it in the environment; a library that finds anything else in it stays silent.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace manypath::report {

inline constexpr char environment_name[] = "MANYPATH_REPORT";

inline constexpr std::uint32_t magic = 0x3172706d;
inline constexpr std::uint32_t layout = 1;

/// Processes one report can hold: a full `make -j` or a shell script's children; 4 MiB, sparse.
inline constexpr std::size_t max_processes = 1024;
/// Sockets remembered per process; the oldest is overwritten. With the counters it fills a page.
inline constexpr std::size_t max_sockets = 124;

enum class role : std::uint32_t { opened = 0, accepted = 1 };

/// What is known of one MPTCP socket. `fallback` is final, `multipath` may still become it.
enum class verdict : std::uint32_t { unconnected = 0, multipath = 1, fallback = 2 };

/// One socket that the kernel opened as MPTCP. `cookie` is written last and is 0 while unused;
/// it is what inet_diag calls idiag_cookie (its low word first).
struct socket_note {
    std::atomic<std::uint64_t> cookie;
    std::atomic<std::int32_t> fd; ///< number it had when it was opened
    std::atomic<role> came_by;
    std::atomic<verdict> state;
    std::atomic<std::uint32_t> subflows; ///< most seen by the library; the launcher may see more
    std::atomic<std::uint32_t> spare[2];
};

/// One program image in one process: a fork and an exec begin a new one. Counters only grow.
struct process {
    std::atomic<std::uint32_t> pid;   ///< written last; 0 while unused
    std::atomic<std::uint32_t> image; ///< tells two programs apart that ran under one pid
    char command[16];                 ///< as in /proc/PID/comm, ends with a zero byte

    std::atomic<std::uint32_t> asked;        ///< socket() calls that MPTCP could serve
    std::atomic<std::uint32_t> granted;      ///< of these, opened as MPTCP
    std::atomic<std::uint32_t> refused;      ///< of these, opened as TCP because MPTCP was refused
    std::atomic<std::int32_t> refused_errno; ///< why, the last time
    std::atomic<std::uint32_t> failed;       ///< of these, refused by TCP as well
    std::atomic<std::uint32_t> multipath;    ///< connections opened here seen to speak MPTCP
    std::atomic<std::uint32_t> fell_back; ///< connections, of either role, seen to have become TCP
    std::atomic<std::uint32_t> accepted;  ///< connections accepted as MPTCP
    std::atomic<std::uint32_t> accepted_tcp;  ///< accepted from a peer without MPTCP
    std::atomic<std::uint32_t> options_kept;  ///< setsockopt() calls answered in the kernel's place
    std::atomic<std::uint32_t> options_given; ///< of these, given to the kernel after a fallback
    std::atomic<std::uint32_t> next_socket;   ///< notes written; modulo max_sockets is the next one
    std::atomic<std::uint32_t> spare[14];

    socket_note sockets[max_sockets];
};

struct file {
    std::atomic<std::uint32_t> magic;
    std::atomic<std::uint32_t> layout;
    std::atomic<std::uint32_t> used; ///< slots asked for; beyond max_processes nobody is recorded
    std::atomic<std::uint32_t> spare[1021];

    process processes[max_processes];
};

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(sizeof(socket_note) == 32 && sizeof(process) == 4096);
static_assert(sizeof(file) == 4096 * (max_processes + 1));

} // namespace manypath::report
