// options.cpp: asks TCP's twin, remembers, replays.
//
// SPDX-License-Identifier: Apache-2.0
#include "preload/options.hpp"

#include <cstring>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "preload/debug_line.hpp"
#include "preload/promises.hpp"
#include "preload/system.hpp"
#include "preload/tcp_twin.hpp"

namespace manypath::preload {

namespace {

/// There was no descriptor or memory to ask TCP with; POSIX lets both calls fail with it.
constexpr int no_resources = ENOBUFS;

void tell(int fd, int level, int name, const char* outcome, int error = 0)
{
    if (!debugging())
        return;
    debug_line line;
    line.text("socket ").number(fd).text(": option ").number(level).text("/").number(name);
    line.text(outcome);
    if (error != 0)
        line.error(error);
    line.send();
}

/// The path's MTU is a fact about the connection, which the twin on loopback cannot know.
/// @param value  what the twin answered, `length` bytes
void correct_path_mtu(int fd, int level, int name, void* value, socklen_t length)
{
    const bool asked =
        (level == IPPROTO_IP && name == IP_MTU) || (level == IPPROTO_IPV6 && name == IPV6_MTU);
    tcp_info info{};
    socklen_t info_length = sizeof(info);
    if (!asked || length != sizeof(info.tcpi_pmtu) ||
        raw::read_option(fd, IPPROTO_TCP, TCP_INFO, &info, &info_length) != 0)
        return;
    std::memcpy(value, &info.tcpi_pmtu, sizeof(info.tcpi_pmtu));
}

} // namespace

bool option_keeper::is_refusal_to_set(int error)
{
    // EINVAL: SO_REUSEADDR and others that MPTCP refuses only once it is connected.
    return error == ENOPROTOOPT || error == EOPNOTSUPP || error == EINVAL;
}

bool option_keeper::is_refusal_to_read(int error)
{
    return error == ENOPROTOOPT || error == EOPNOTSUPP;
}

bool option_keeper::remembers(int fd, int level, int name) const
{
    const errno_guard guard;
    const std::uint64_t cookie = socket_cookie(fd);
    return cookie != 0 && table_.holds(cookie, level, name);
}

void option_keeper::forget(int fd, int level, int name)
{
    const errno_guard guard;
    if (const std::uint64_t cookie = socket_cookie(fd))
        table_.erase(cookie, level, name);
}

void option_keeper::settle(int fd)
{
    const errno_guard guard;
    const std::uint64_t cookie = socket_cookie(fd);
    const shadow_table::option_list remembered = table_.list(cookie);
    bool waiting = false;
    for (const socket_option& option : remembered)
        waiting |= option.kept == 0;
    if (!waiting || look_at(fd).verdict != report::verdict::fallback)
        return;
    for (socket_option option : remembered) {
        if (option.kept != 0)
            continue;
        if (raw::set_option(fd, option.level, option.name, option.value.data(),
                            option.length_bytes) == 0) {
            table_.erase(cookie, option.level, option.name);
            if (reporter_.active())
                reporter_.option_given();
            tell(fd, option.level, option.name, " set, now that it is TCP");
        } else {
            option.kept = 1;
            table_.store(cookie, option);
        }
    }
}

void option_keeper::inherit(int listener, int fd, bool mptcp)
{
    const errno_guard guard;
    if (!any())
        return;
    const std::uint64_t parent = socket_cookie(listener);
    const shadow_table::option_list remembered = table_.list(parent);
    if (remembered.size == 0)
        return;
    table_.touch(parent); // a busy listener's options outlive those of its connections
    const std::uint64_t cookie = socket_cookie(fd);
    for (const socket_option& option : remembered) {
        if (mptcp)
            table_.store(cookie, option);
        else if (raw::set_option(fd, option.level, option.name, option.value.data(),
                                 option.length_bytes) == 0 &&
                 reporter_.active())
            reporter_.option_given();
    }
}

int option_keeper::set(int fd, int level, int name, const void* value, socklen_t length)
{
    const int errno_before = errno;
    const tcp_twin twin{fd, table_.list(socket_cookie(fd))};
    int error = 0;
    if (!twin.exists())
        error = no_resources;
    else if (raw::set_option(twin.fd(), level, name, value, length) != 0)
        error = errno;
    else
        error = refusal_for(level, name, value, length);
    if (error == 0)
        error = remember(fd, level, name, value, length);
    else
        tell(fd, level, name, " refused with ", error);
    errno = error == 0 ? errno_before : error;
    return error == 0 ? 0 : -1;
}

int option_keeper::remember(int fd, int level, int name, const void* value, socklen_t length)
{
    socket_option option{.level = level, .name = name, .length_bytes = length, .value = {}};
    if (length > socket_option::capacity_bytes)
        return ENOPROTOOPT;
    if (length != 0)
        std::memcpy(option.value.data(), value, length);
    table_.store(socket_cookie(fd), option);
    if (reporter_.active())
        reporter_.option_kept();
    tell(fd, level, name, " kept until it is TCP");
    return 0;
}

int option_keeper::read(int fd, int level, int name, void* value, socklen_t* length)
{
    const int errno_before = errno;
    const tcp_twin twin{fd, table_.list(socket_cookie(fd))};
    int error = 0;
    if (!twin.exists())
        error = no_resources;
    else if (raw::read_option(twin.fd(), level, name, value, length) != 0)
        error = errno;
    else
        correct_path_mtu(fd, level, name, value, *length);
    errno = error == 0 ? errno_before : error;
    return error == 0 ? 0 : -1;
}

} // namespace manypath::preload
