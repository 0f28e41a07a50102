// system.hpp: the system calls that the library makes on its own account.
//
// They go to the kernel directly. Through the next library in line a probe could be routed, logged
// or denied (torsocks does all three), and libc's connect, open and write are cancellation points,
// which a hook must not add to setsockopt().
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/base/mptcp_abi.hpp"

namespace manypath::preload {

/// Puts errno back as it was found, whatever the calls in between did to it.
class errno_guard {
public:
    errno_guard() = default;
    errno_guard(const errno_guard&) = delete;
    errno_guard& operator=(const errno_guard&) = delete;
    ~errno_guard() { errno = saved_; }

private:
    int saved_ = errno;
};

namespace raw {

template <class... Arguments>
int call(long number, Arguments... arguments)
{
    return static_cast<int>(syscall(number, arguments...));
}

inline int open_socket(int family, int type, int protocol)
{
    return call(SYS_socket, family, type, protocol);
}

inline int set_option(int fd, int level, int name, const void* value, socklen_t length)
{
    return call(SYS_setsockopt, fd, level, name, value, length);
}

inline int read_option(int fd, int level, int name, void* value, socklen_t* length)
{
    return call(SYS_getsockopt, fd, level, name, value, length);
}

} // namespace raw

/// @return the option's value, or -1 where the kernel refuses
inline int int_option(int fd, int level, int name)
{
    int value = 0;
    socklen_t length = sizeof(value);
    return raw::read_option(fd, level, name, &value, &length) == 0 ? value : -1;
}

/// @return whether the kernel holds `fd` as an MPTCP socket; true after a fallback as well
inline bool is_mptcp_socket(int fd)
{
    return int_option(fd, SOL_SOCKET, SO_PROTOCOL) == abi::ipproto_mptcp;
}

/// @return the kernel's name for the socket, which no other socket of this boot gets, and which
///         survives dup(), fork() and fallback; 0 where `fd` is no socket
inline std::uint64_t socket_cookie(int fd)
{
    std::uint64_t cookie = 0;
    socklen_t length = sizeof(cookie);
    return raw::read_option(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 ? cookie : 0;
}

} // namespace manypath::preload
