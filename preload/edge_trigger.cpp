// edge_trigger.cpp: decides when FIONREAD's answer is too small to stop at.
//
// SPDX-License-Identifier: Apache-2.0
#include "preload/edge_trigger.hpp"

#include <climits>

#include <fcntl.h>
#include <sys/epoll.h>

#include "preload/system.hpp"

namespace manypath::preload {

namespace {

bool blocks(int fd)
{
#ifdef SYS_fcntl64
    return (raw::call(SYS_fcntl64, fd, F_GETFL, 0) & O_NONBLOCK) == 0;
#else
    return (raw::call(SYS_fcntl, fd, F_GETFL, 0) & O_NONBLOCK) == 0;
#endif
}

} // namespace

void edge_trigger_watch::registered(int fd, std::uint32_t events)
{
    const errno_guard guard;
    if ((events & EPOLLET) != 0 && !used_.load(std::memory_order_relaxed) && is_mptcp_socket(fd))
        used_.store(true, std::memory_order_relaxed);
}

int edge_trigger_watch::readable(int fd, int counted) const
{
    const errno_guard guard;
    const bool is_too_small =
        counted > 0 && used_.load(std::memory_order_relaxed) && is_mptcp_socket(fd) && !blocks(fd);
    return is_too_small ? INT_MAX : counted;
}

} // namespace manypath::preload
