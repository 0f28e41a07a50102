// connection.cpp: the ladder TCP_IS_MPTCP, then MPTCP_INFO, for kernels from 5.16 on.
//
// SPDX-License-Identifier: Apache-2.0
#include "preload/connection.hpp"

#include <netinet/in.h>

#include "preload/system.hpp"

namespace manypath::preload {

namespace {

/// The head of the kernel's struct mptcp_info, which has only ever grown at its end.
struct mptcp_info_head {
    std::uint8_t extra_subflows; ///< without the first
    std::uint8_t unused[7];
    std::uint32_t flags;
};

} // namespace

bool is_connected(int fd)
{
    sockaddr_storage address;
    socklen_t length = sizeof(address);
    return raw::call(SYS_getpeername, fd, &address, &length) == 0;
}

connection_state look_at(int fd)
{
    using report::verdict;
    if (!is_connected(fd))
        return {};
    const int speaks_mptcp = int_option(fd, IPPROTO_TCP, abi::tcp_is_mptcp);
    if (speaks_mptcp == 0)
        return {.verdict = verdict::fallback};
    mptcp_info_head info{};
    socklen_t length = sizeof(info);
    const int result = raw::read_option(fd, abi::sol_mptcp, abi::mptcp_info, &info, &length);
    // The kernel refuses MPTCP_INFO after a fallback; the flag covers one that happens late.
    if (result != 0 || (info.flags & abi::info_flag_fallback) != 0)
        return {.verdict = verdict::fallback};
    return {.verdict = verdict::multipath, .subflows = info.extra_subflows + 1U};
}

} // namespace manypath::preload
