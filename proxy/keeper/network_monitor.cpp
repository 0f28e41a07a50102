// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/network_monitor.hpp"

#include "proxy/log/log.hpp"

#include <array>
#include <cerrno>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <system_error>

namespace manypath::keeper {

network_monitor::network_monitor()
    : socket_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE))
{
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE |
                        RTMGRP_IPV6_ROUTE;
    const auto* any = reinterpret_cast<const sockaddr*>(&address);
    if (socket_ && ::bind(socket_.get(), any, sizeof address) == 0)
        return;
    log::warning("changes of interfaces will not be noticed: {}",
                 std::generic_category().message(errno));
    socket_.reset();
}

void network_monitor::drain() const
{
    std::array<std::byte, 8192> ignored{};
    for (;;) {
        const ssize_t size = ::recv(socket_.get(), ignored.data(), ignored.size(), 0);
        // An overrun (ENOBUFS) is news as well, and over with the next read.
        if (size == 0 || (size < 0 && errno != ENOBUFS))
            return;
    }
}

} // namespace manypath::keeper
