// debug_line.cpp: formats and writes the lines of MANYPATH_DEBUG.
//
// SPDX-License-Identifier: Apache-2.0
#include "preload/debug_line.hpp"

#include <atomic>

#include <sys/stat.h>

#include "preload/system.hpp"

namespace manypath::preload {

namespace {

constinit std::atomic<bool> on{false};
constinit dev_t stderr_device = 0;
constinit ino_t stderr_inode = 0;

bool stderr_is_unchanged()
{
    struct stat now;
    return fstat(STDERR_FILENO, &now) == 0 && now.st_dev == stderr_device &&
           now.st_ino == stderr_inode;
}

const char* error_name(int value)
{
    switch (value) {
    case EPERM:
        return "EPERM";
    case ENOENT:
        return "ENOENT";
    case EACCES:
        return "EACCES";
    case EINVAL:
        return "EINVAL";
    case ENFILE:
        return "ENFILE";
    case EMFILE:
        return "EMFILE";
    case ENOMEM:
        return "ENOMEM";
    case ENOBUFS:
        return "ENOBUFS";
    case ENOTCONN:
        return "ENOTCONN";
    case ENOPROTOOPT:
        return "ENOPROTOOPT";
    case EOPNOTSUPP:
        return "EOPNOTSUPP";
    case EAFNOSUPPORT:
        return "EAFNOSUPPORT";
    case EPROTONOSUPPORT:
        return "EPROTONOSUPPORT";
    default:
        return nullptr;
    }
}

} // namespace

void start_debugging()
{
    struct stat now;
    if (fstat(STDERR_FILENO, &now) != 0)
        return;
    stderr_device = now.st_dev;
    stderr_inode = now.st_ino;
    on.store(true, std::memory_order_release);
}

bool debugging()
{
    return on.load(std::memory_order_acquire);
}

debug_line::debug_line()
{
    text("libmanypath[").number(raw::call(SYS_getpid)).text("]: ");
}

void debug_line::put(char letter)
{
    if (size_ < buffer_.size() - 1) // the last place is the line feed's
        buffer_[size_++] = letter;
}

debug_line& debug_line::text(const char* words)
{
    for (; *words != '\0'; ++words)
        put(*words);
    return *this;
}

debug_line& debug_line::number(long value)
{
    if (value < 0)
        put('-');
    unsigned long rest =
        value < 0 ? 0UL - static_cast<unsigned long>(value) : static_cast<unsigned long>(value);
    std::array<char, 20> digits;
    std::size_t count = 0;
    do {
        digits[count++] = static_cast<char>('0' + rest % 10);
        rest /= 10;
    } while (rest != 0);
    while (count > 0)
        put(digits[--count]);
    return *this;
}

debug_line& debug_line::error(int value)
{
    const char* name = error_name(value);
    return name != nullptr ? text(name) : text("errno ").number(value);
}

void debug_line::send()
{
    const errno_guard guard;
    buffer_[size_++] = '\n';
    if (stderr_is_unchanged())
        raw::call(SYS_write, STDERR_FILENO, buffer_.data(), size_);
}

} // namespace manypath::preload
