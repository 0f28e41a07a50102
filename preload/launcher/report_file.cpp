// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/report_file.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <sys/mman.h>
#include <utility>

namespace manypath::launcher {

namespace {

socket_record copy_of(const report::socket_note& note)
{
    // The cookie is written last: with it in hand the rest is there.
    socket_record record{.cookie = note.cookie.load(std::memory_order_acquire)};
    record.role = note.came_by.load(std::memory_order_relaxed);
    record.verdict = note.state.load(std::memory_order_relaxed);
    record.subflows = note.subflows.load(std::memory_order_relaxed);
    return record;
}

process_record copy_of(const report::process& slot)
{
    process_record record;
    record.pid = slot.pid.load(std::memory_order_acquire);
    record.command.assign(slot.command, ::strnlen(slot.command, sizeof slot.command));
    record.asked = slot.asked.load(std::memory_order_relaxed);
    record.granted = slot.granted.load(std::memory_order_relaxed);
    record.refused = slot.refused.load(std::memory_order_relaxed);
    record.refused_errno = slot.refused_errno.load(std::memory_order_relaxed);
    record.failed = slot.failed.load(std::memory_order_relaxed);
    record.accepted = slot.accepted.load(std::memory_order_relaxed);
    record.accepted_tcp = slot.accepted_tcp.load(std::memory_order_relaxed);
    record.fell_back = slot.fell_back.load(std::memory_order_relaxed);
    for (const report::socket_note& note : slot.sockets) {
        if (const socket_record copy = copy_of(note); copy.cookie != 0)
            record.sockets.push_back(copy);
    }
    return record;
}

} // namespace

std::expected<report_file, std::error_code> report_file::create()
{
    const auto failed = [] {
        return std::unexpected{std::error_code{errno, std::generic_category()}};
    };
    unique_fd fd{::memfd_create("manypath-report", MFD_CLOEXEC)};
    if (!fd || ::ftruncate(fd.get(), sizeof(report::file)) != 0)
        return failed();
    void* memory =
        ::mmap(nullptr, sizeof(report::file), PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
    if (memory == MAP_FAILED)
        return failed();
    // Default-initialised: the zero bytes of the new file are the initial state, and writing them
    // again would make four megabytes out of a sparse file.
    auto* file = static_cast<report::file*>(memory);
    file->layout.store(report::layout, std::memory_order_relaxed);
    file->magic.store(report::magic, std::memory_order_release);
    return report_file{std::move(fd), file};
}

report_file::report_file(unique_fd fd, report::file* memory) noexcept
    : fd_(std::move(fd)), memory_(memory)
{
}

report_file::report_file(report_file&& other) noexcept
    : fd_(std::move(other.fd_)), memory_(std::exchange(other.memory_, nullptr))
{
}

report_file::~report_file()
{
    if (memory_ != nullptr)
        ::munmap(memory_, sizeof *memory_);
}

std::string report_file::path() const
{
    return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_.get());
}

std::vector<process_record> report_file::read() const
{
    std::vector<process_record> records;
    const std::size_t used =
        std::min<std::size_t>(memory_->used.load(std::memory_order_acquire), report::max_processes);
    for (std::size_t i = 0; i < used; ++i) {
        if (memory_->processes[i].pid.load(std::memory_order_acquire) != 0)
            records.push_back(copy_of(memory_->processes[i]));
    }
    return records;
}

} // namespace manypath::launcher
