// SPDX-License-Identifier: Apache-2.0
#include "proxy/kernel/mptcp_socket.hpp"

#include "common/base/mptcp_abi.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <optional>
#include <span>

namespace manypath::kernel {

namespace {

// The kernel's structures, written out here because the header of Linux 6.1 lacks the last two.
// Newer kernels append members and copy only as much as the caller has room for.
struct info_head {
    std::array<std::uint8_t, 8> counts;
    std::uint32_t flags;
    std::uint32_t token;
};
static_assert(sizeof(info_head) == 16);

struct subflow_data {
    std::uint32_t size_subflow_data;
    std::uint32_t num_subflows; // filled by the kernel, as is size_kernel
    std::uint32_t size_kernel;
    std::uint32_t size_user;
};

struct subflow_addresses {
    sockaddr_storage local;
    sockaddr_storage remote;
};
static_assert(sizeof(subflow_addresses) == 256);

struct subflow_entry {
    std::uint32_t id;
    alignas(8) subflow_addresses addresses;
};
static_assert(sizeof(subflow_entry) == 264);

struct full_info {
    std::uint32_t size_tcpinfo_kernel;
    std::uint32_t size_tcpinfo_user;
    std::uint32_t size_sfinfo_kernel;
    std::uint32_t size_sfinfo_user;
    std::uint32_t num_subflows; // filled by the kernel: all of them, even those without room
    std::uint32_t size_arrays_user;
    std::uint64_t subflow_info;
    std::uint64_t tcp_info;
    info_head head;
};

// One more than the eight additional subflows that the kernel's limits allow; when a kernel has
// more than that, the query is repeated with room for all.
constexpr std::size_t usual_subflows = 9;

template <typename Value>
std::optional<socklen_t> read_option(int fd, int level, int name, Value& value)
{
    socklen_t size = sizeof value;
    if (::getsockopt(fd, level, name, &value, &size) != 0)
        return std::nullopt;
    return size;
}

std::optional<info_head> read_info(int fd)
{
    info_head head{};
    const auto size = read_option(fd, abi::sol_mptcp, abi::mptcp_info, head);
    if (!size || *size < sizeof head)
        return std::nullopt;
    return head;
}

bool speaks_mptcp(int fd)
{
    int answer = 0;
    if (read_option(fd, IPPROTO_TCP, abi::tcp_is_mptcp, answer))
        return answer == 1;
    const auto head = read_info(fd);
    return head && (head->flags & abi::info_flag_fallback) == 0 &&
           (head->flags & abi::info_flag_remote_key) != 0;
}

// Of the kernel's enumeration of TCP states, which <linux/tcp.h> does not name.
constexpr std::uint8_t state_syn_sent = 2;
constexpr std::uint8_t state_closed = 7;

/// A subflow that has just been closed is still listed, without port and counters; one whose SYN
/// has no answer yet, and perhaps never gets one, is listed already.
bool is_alive(const subflow_addresses& addresses, const tcp_info& tcp)
{
    const bool has_port = reinterpret_cast<const sockaddr_in&>(addresses.remote).sin_port != 0;
    return has_port && tcp.tcpi_state != state_syn_sent && tcp.tcpi_state != state_closed;
}

void add_subflow(mptcp_status& status, const subflow_addresses& addresses, const tcp_info& tcp)
{
    if (is_alive(addresses, tcp))
        status.subflows.push_back({.local = addresses.local,
                                   .remote = addresses.remote,
                                   .bytes_acked = tcp.tcpi_bytes_acked,
                                   .bytes_received = tcp.tcpi_bytes_received,
                                   .round_trip_us = tcp.tcpi_rtt});
}

// Linux 6.12: addresses and counters of the same moment.
bool read_full_info(int fd, mptcp_status& status)
{
    std::vector<subflow_entry> entries(usual_subflows);
    std::vector<tcp_info> counters(usual_subflows);
    full_info full{};
    for (;;) {
        full = {};
        full.size_tcpinfo_user = sizeof(tcp_info);
        full.size_sfinfo_user = sizeof(subflow_entry);
        full.size_arrays_user = static_cast<std::uint32_t>(entries.size());
        full.subflow_info = reinterpret_cast<std::uintptr_t>(entries.data());
        full.tcp_info = reinterpret_cast<std::uintptr_t>(counters.data());
        if (!read_option(fd, abi::sol_mptcp, abi::mptcp_full_info, full))
            return false;
        if (full.num_subflows <= entries.size())
            break;
        entries.resize(full.num_subflows);
        counters.resize(full.num_subflows);
    }
    if ((full.head.flags & abi::info_flag_fallback) != 0)
        return false;
    status.token = full.head.token;
    for (std::size_t i = 0; i < full.num_subflows; ++i)
        add_subflow(status, entries[i].addresses, counters[i]);
    return true;
}

template <typename Element>
struct subflow_array {
    subflow_data head{.size_subflow_data = sizeof(subflow_data),
                      .num_subflows = 0,
                      .size_kernel = 0,
                      .size_user = sizeof(Element)};
    std::array<Element, usual_subflows> elements{};
};

template <typename Element>
std::span<const Element> read_array(int fd, int name, subflow_array<Element>& array)
{
    if (!read_option(fd, abi::sol_mptcp, name, array))
        return {};
    const std::size_t count = array.head.num_subflows;
    return std::span{array.elements}.first(std::min(count, array.elements.size()));
}

// Before Linux 6.12: two queries, so a subflow may come or go between them.
void read_separately(int fd, mptcp_status& status)
{
    if (const auto head = read_info(fd))
        status.token = head->token;
    subflow_array<subflow_addresses> addresses;
    subflow_array<tcp_info> counters;
    const auto all_addresses = read_array(fd, abi::mptcp_subflow_addrs, addresses);
    const auto all_counters = read_array(fd, abi::mptcp_tcpinfo, counters);
    for (std::size_t i = 0; i < std::min(all_addresses.size(), all_counters.size()); ++i)
        add_subflow(status, all_addresses[i], all_counters[i]);
}

} // namespace

std::expected<int, std::error_code> open_mptcp_socket(int family)
{
    const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, abi::ipproto_mptcp);
    if (fd < 0)
        return std::unexpected{std::error_code{errno, std::system_category()}};
    return fd;
}

bool refuses_mptcp(const std::error_code& error) noexcept
{
    if (error.category() != std::system_category())
        return false;
    switch (error.value()) {
    case EINVAL:
    case EPROTONOSUPPORT:
    case ENOPROTOOPT:
    case EPERM:
    case EACCES:
        return true;
    default:
        return false;
    }
}

mptcp_status query_mptcp(int fd)
{
    mptcp_status status;
    if (read_full_info(fd, status)) { // one call where the connection lives and the kernel is new
        status.opened_as_mptcp = true;
        status.speaks_mptcp = true;
        return status;
    }
    int protocol = 0;
    if (!read_option(fd, SOL_SOCKET, SO_PROTOCOL, protocol))
        return status;
    status.opened_as_mptcp = protocol == abi::ipproto_mptcp;
    status.speaks_mptcp = status.opened_as_mptcp && speaks_mptcp(fd);
    if (status.speaks_mptcp)
        read_separately(fd, status);
    return status;
}

} // namespace manypath::kernel
