// reporter.cpp: slots, notes and counters of the report.
//
// SPDX-License-Identifier: Apache-2.0
#include "preload/reporter.hpp"

#include <algorithm>
#include <cstring>

#include <fcntl.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "preload/system.hpp"

namespace manypath::preload {

using report::verdict;

namespace {

constexpr auto relaxed = std::memory_order_relaxed;

void count(std::atomic<std::uint32_t>& counter)
{
    counter.fetch_add(1, relaxed);
}

/// Differs between the programs that a process executes one after the other, survives fork().
std::uint32_t image_number()
{
    // The auxiliary vector holds the pointer as a number.
    const auto* random = reinterpret_cast<const void*>( // NOLINT(performance-no-int-to-ptr)
        getauxval(AT_RANDOM));
    std::uint64_t words[2] = {};
    if (random != nullptr)
        std::memcpy(words, random, sizeof(words));
    // libc's stack and pointer guards are made of these bytes, so they do not go out as they are.
    const std::uint64_t mixed = (words[0] ^ (words[1] >> 7)) * 0x9e37'79b9'7f4a'7c15ULL;
    return static_cast<std::uint32_t>(mixed >> 32);
}

} // namespace

void reporter::open(const char* path)
{
    const int fd = raw::call(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC | O_NONBLOCK, 0);
    if (fd < 0)
        return;
    struct stat status;
    void* memory = MAP_FAILED;
    // A file that is too short would raise SIGBUS later.
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        status.st_size >= static_cast<off_t>(sizeof(report::file)))
        memory = mmap(nullptr, sizeof(report::file), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    raw::call(SYS_close, fd);
    if (memory == MAP_FAILED)
        return;
    auto* file = static_cast<report::file*>(memory);
    if (file->magic.load(relaxed) != report::magic ||
        file->layout.load(relaxed) != report::layout) {
        munmap(memory, sizeof(report::file));
        return;
    }
    image_.store(image_number(), relaxed);
    file_ = file;
}

report::process* reporter::claim_process(std::uint32_t pid)
{
    const std::uint32_t index = file_->used.fetch_add(1, relaxed);
    if (index >= report::max_processes) {
        file_->used.store(report::max_processes, relaxed); // never wraps
        return nullptr;
    }
    report::process& process = file_->processes[index];
    process.image.store(image_.load(relaxed), relaxed);
    prctl(PR_GET_NAME, process.command);
    process.pid.store(pid, std::memory_order_release);
    own_index_.store(index + 1, relaxed);
    return &process;
}

report::process* reporter::own_process()
{
    const auto pid = static_cast<std::uint32_t>(raw::call(SYS_getpid));
    const std::uint32_t cached = own_index_.load(relaxed);
    if (cached != 0 && file_->processes[cached - 1].pid.load(relaxed) == pid)
        return &file_->processes[cached - 1];
    // After a vfork child this process finds its own place again, and threads that start together
    // may each claim one: the launcher adds up what has the same pid and image.
    const std::uint32_t used =
        std::min<std::uint32_t>(file_->used.load(relaxed), report::max_processes);
    for (std::uint32_t i = 0; i < used; ++i) {
        report::process& process = file_->processes[i];
        if (process.pid.load(std::memory_order_acquire) != pid ||
            process.image.load(relaxed) != image_.load(relaxed))
            continue;
        own_index_.store(i + 1, relaxed);
        return &process;
    }
    return claim_process(pid);
}

void reporter::add_note(report::process& process, int fd, report::role role)
{
    const std::uint32_t place = process.next_socket.fetch_add(1, relaxed) % report::max_sockets;
    report::socket_note& note = process.sockets[place];
    const bool connected = role == report::role::accepted;
    note.cookie.store(0, std::memory_order_release);
    note.fd.store(fd, relaxed);
    note.came_by.store(role, relaxed);
    note.state.store(connected ? verdict::multipath : verdict::unconnected, relaxed);
    note.subflows.store(connected ? 1 : 0, relaxed);
    note.cookie.store(socket_cookie(fd), std::memory_order_release);
}

void reporter::opened_mptcp(int fd)
{
    if (report::process* process = own_process()) {
        count(process->asked);
        count(process->granted);
        add_note(*process, fd, report::role::opened);
    }
}

void reporter::opened_tcp(int refusal_errno)
{
    if (report::process* process = own_process()) {
        count(process->asked);
        count(process->refused);
        process->refused_errno.store(refusal_errno, relaxed);
    }
}

void reporter::failed(int refusal_errno)
{
    if (report::process* process = own_process()) {
        count(process->asked);
        count(process->failed);
        process->refused_errno.store(refusal_errno, relaxed);
    }
}

void reporter::accepted_mptcp(int fd)
{
    if (report::process* process = own_process()) {
        count(process->accepted);
        add_note(*process, fd, report::role::accepted);
    }
}

void reporter::accepted_tcp()
{
    if (report::process* process = own_process())
        count(process->accepted_tcp);
}

void reporter::option_kept()
{
    if (report::process* process = own_process())
        count(process->options_kept);
}

void reporter::option_given()
{
    if (report::process* process = own_process())
        count(process->options_given);
}

void reporter::saw(std::uint64_t cookie, const connection_state& now)
{
    report::process* process = own_process();
    if (process == nullptr || cookie == 0 || now.verdict == verdict::unconnected)
        return;
    for (report::socket_note& note : process->sockets) {
        if (note.cookie.load(std::memory_order_acquire) != cookie)
            continue;
        const verdict before = note.state.exchange(now.verdict, relaxed);
        if (before == verdict::unconnected && now.verdict == verdict::multipath)
            count(process->multipath);
        if (before != verdict::fallback && now.verdict == verdict::fallback)
            count(process->fell_back);
        if (now.subflows > note.subflows.load(relaxed))
            note.subflows.store(now.subflows, relaxed);
        return;
    }
}

void reporter::look_at_open_sockets()
{
    report::process* process = own_process();
    if (process == nullptr)
        return;
    for (const report::socket_note& note : process->sockets) {
        const std::uint64_t cookie = note.cookie.load(std::memory_order_acquire);
        const int fd = note.fd.load(relaxed);
        // The number may belong to another file by now; the cookie tells.
        if (cookie != 0 && socket_cookie(fd) == cookie)
            saw(cookie, look_at(fd));
    }
}

} // namespace manypath::preload
