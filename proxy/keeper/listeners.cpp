// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/listeners.hpp"

#include "common/base/mptcp_abi.hpp"
#include "proxy/log/log.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace manypath::keeper {

namespace {

// The kernel cuts it to net.core.somaxconn.
constexpr int backlog = 65535;

using opened = std::expected<unique_fd, int>; // or errno

bool turn_on(int fd, int level, int option)
{
    const int on = 1;
    return ::setsockopt(fd, level, option, &on, sizeof on) == 0;
}

opened open_bound(const listening_place& p, bool shared)
{
    const bool v6 = p.at.address().is_v6();
    unique_fd fd{::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                          p.accept == protocol::mptcp ? abi::ipproto_mptcp : IPPROTO_TCP)};
    if (!fd)
        return std::unexpected{errno};
    const bool set =
        turn_on(fd.get(), SOL_SOCKET, SO_REUSEADDR) &&
        (!shared || turn_on(fd.get(), SOL_SOCKET, SO_REUSEPORT)) &&
        (!v6 || turn_on(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY)) && // 0.0.0.0 and [::] side by side
        (!p.transparent ||
         turn_on(fd.get(), v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT));
    if (!set || ::bind(fd.get(), p.at.data(), static_cast<socklen_t>(p.at.size())) != 0)
        return std::unexpected{errno};
    return fd;
}

/// SO_REUSEPORT would let two gateways share a port without a word; a socket without it does not.
int probe(const listening_place& p)
{
    const auto fd = open_bound(p, false);
    return fd ? 0 : fd.error();
}

std::expected<listening_group, int> open_group(const listening_place& p, unsigned threads)
{
    listening_group group{.place = p, .sockets = {}};
    for (unsigned i = 0; i < threads; ++i) {
        auto fd = open_bound(p, true);
        if (!fd)
            return std::unexpected{fd.error()};
        if (::listen(fd->get(), backlog) != 0)
            return std::unexpected{errno};
        group.sockets.push_back(std::move(*fd));
    }
    return group;
}

std::string text_of(const endpoint& e)
{
    const std::string address = e.address().to_string();
    return e.address().is_v6() ? fmt::format("[{}]:{}", address, e.port())
                               : fmt::format("{}:{}", address, e.port());
}

std::string advice(const listening_place& p, int number)
{
    switch (number) {
    case EADDRINUSE:
        return fmt::format("another program listens there already; stop it (ss -ltnp 'sport = "
                           ":{}' names it) or choose another port",
                           p.at.port());
    case EADDRNOTAVAIL:
        return "this host does not have that address; use one of its own, or 0.0.0.0 or [::]";
    case EACCES:
    case EPERM:
        return "this needs root, or CAP_NET_BIND_SERVICE for ports below 1024 and CAP_NET_ADMIN "
               "for transparent mode";
    default:
        return std::generic_category().message(number);
    }
}

std::string complaint(const config::listen& l, const listening_place& p, int number)
{
    return fmt::format("listener \"{}\": cannot listen on {}: {}", l.name, text_of(p.at),
                       advice(p, number));
}

listening_place place_of(const config::listen& l, const endpoint& at, bool mptcp)
{
    return {.at = at,
            .accept = mptcp ? l.accept : protocol::tcp,
            .transparent = l.mode == config::listen_mode::transparent};
}

} // namespace

std::shared_ptr<const listening_group> listener_set::find(const listening_place& p) const
{
    for (const entry& e : entries_)
        if (e.group->place == p)
            return e.group;
    return nullptr;
}

bool listener_set::uses_port(std::uint16_t port) const
{
    return std::ranges::any_of(entries_,
                               [=](const entry& e) { return e.group->place.at.port() == port; });
}

std::expected<listener_set, std::string> listener_set::open(const config::configuration& c,
                                                            unsigned threads, bool mptcp,
                                                            const listener_set& running)
{
    // All are probed before the first is opened: our own addresses may overlap each other.
    for (const config::listen& l : c.listeners)
        for (const endpoint& at : l.addresses) {
            const listening_place p = place_of(l, at, mptcp);
            if (running.uses_port(at.port()))
                continue;
            if (const int number = probe(p); number != 0)
                return std::unexpected{complaint(l, p, number)};
        }
    listener_set result;
    for (std::uint32_t i = 0; i < c.listeners.size(); ++i)
        for (const endpoint& at : c.listeners[i].addresses) {
            const listening_place p = place_of(c.listeners[i], at, mptcp);
            auto group = running.find(p);
            if (!group) {
                auto fresh = open_group(p, threads);
                if (!fresh)
                    return std::unexpected{complaint(c.listeners[i], p, fresh.error())};
                group = std::make_shared<const listening_group>(std::move(*fresh));
            }
            result.entries_.push_back({i, std::move(group)});
        }
    return result;
}

std::expected<std::vector<listener_socket>, std::string> listener_set::duplicates() const
{
    std::vector<listener_socket> result;
    for (const entry& e : entries_)
        for (std::uint32_t thread = 0; thread < e.group->sockets.size(); ++thread) {
            unique_fd copy{::fcntl(e.group->sockets[thread].get(), F_DUPFD_CLOEXEC, 0)};
            if (!copy)
                return std::unexpected{"cannot duplicate a listening socket: " +
                                       std::generic_category().message(errno)};
            result.push_back({e.listener, thread, std::move(copy)});
        }
    return result;
}

} // namespace manypath::keeper
