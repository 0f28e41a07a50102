// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/dial.hpp"

#include "proxy/kernel/mptcp_socket.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>

namespace manypath::launcher {

namespace {

using std::chrono::ceil;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

/// RFC 8305, section 8: how long one attempt may keep the next one waiting.
constexpr milliseconds attempt_delay{250};

std::error_code last_error()
{
    return {errno, std::generic_category()};
}

struct result_list {
    explicit result_list(addrinfo* list) noexcept : first(list) {}
    result_list(const result_list&) = delete;
    result_list& operator=(const result_list&) = delete;
    ~result_list()
    {
        if (first != nullptr)
            ::freeaddrinfo(first);
    }
    addrinfo* first;
};

/// What getaddrinfo_a() needs as long as it works; getaddrinfo() knows no deadline.
struct name_query {
    explicit name_query(const dial_target& target) : host(target.host), port(target.port)
    {
        hints.ai_family = target.family;
        hints.ai_socktype = SOCK_STREAM;
        hints.ai_flags = AI_ADDRCONFIG;
        request.ar_name = host.c_str();
        request.ar_service = port.c_str();
        request.ar_request = &hints;
    }
    std::string host;
    std::string port;
    addrinfo hints{};
    gaicb request{};
};

/// Alternates between the family of the first address and the other one.
std::vector<socket_address> interleave(const std::vector<socket_address>& sorted)
{
    std::vector<socket_address> first;
    std::vector<socket_address> second;
    for (const socket_address& address : sorted)
        (address.family() == sorted.front().family() ? first : second).push_back(address);
    std::vector<socket_address> mixed;
    for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
        if (i < first.size())
            mixed.push_back(first[i]);
        if (i < second.size())
            mixed.push_back(second[i]);
    }
    return mixed;
}

struct attempt {
    unique_fd socket;
    socket_address peer;
    std::optional<std::error_code> mptcp_refused;
};

/// Opens and starts to connect; TCP where MPTCP is refused.
std::expected<attempt, std::error_code> begin_attempt(const socket_address& peer)
{
    attempt made{.socket{}, .peer = peer, .mptcp_refused{}};
    if (const auto fd = kernel::open_mptcp_socket(peer.family())) {
        made.socket.reset(*fd);
    } else {
        made.mptcp_refused = fd.error();
        made.socket.reset(
            ::socket(peer.family(), SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP));
        if (!made.socket)
            return std::unexpected{last_error()};
    }
    const auto* address = reinterpret_cast<const sockaddr*>(&peer.storage);
    if (::connect(made.socket.get(), address, peer.size) != 0 && errno != EINPROGRESS)
        return std::unexpected{last_error()};
    return made;
}

/// The attempts under way, and what became of the others.
class race {
public:
    void start(const socket_address& peer)
    {
        if (auto begun = begin_attempt(peer))
            running_.push_back(*std::move(begun));
        else
            fail(peer, begun.error());
    }

    /// Waits until an attempt succeeds, one fails, or the time is over.
    /// @return the winner, if there is one
    std::optional<attempt> wait(milliseconds time)
    {
        std::vector<pollfd> waiting;
        for (const attempt& one : running_)
            waiting.push_back({one.socket.get(), POLLOUT, 0});
        if (::poll(waiting.data(), waiting.size(), static_cast<int>(time.count())) <= 0)
            return {};
        for (std::size_t i = waiting.size(); i-- > 0;) {
            if (waiting[i].revents == 0)
                continue;
            attempt done = std::move(running_[i]);
            running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(i));
            int error = 0;
            socklen_t size = sizeof error;
            ::getsockopt(done.socket.get(), SOL_SOCKET, SO_ERROR, &error, &size);
            if (error == 0)
                return done;
            fail(done.peer, {error, std::generic_category()});
        }
        return {};
    }

    [[nodiscard]] bool idle() const { return running_.empty(); }

    /// Why there is no winner.
    [[nodiscard]] std::string verdict() const
    {
        std::string text = failures_;
        for (const attempt& one : running_)
            text += (text.empty() ? "" : "; ") + to_text(one.peer.storage) + ": no answer in time";
        return text;
    }

private:
    void fail(const socket_address& peer, const std::error_code& error)
    {
        failures_ +=
            (failures_.empty() ? "" : "; ") + to_text(peer.storage) + ": " + error.message();
    }

    std::vector<attempt> running_;
    std::string failures_;
};

void make_blocking(int fd)
{
    const int flags = ::fcntl(fd, F_GETFL);
    ::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}

} // namespace

std::string to_text(const sockaddr_storage& address)
{
    char text[INET6_ADDRSTRLEN] = "?";
    if (address.ss_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &address, sizeof v6);
        ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        return "[" + std::string{text} + "]:" + std::to_string(ntohs(v6.sin6_port));
    }
    sockaddr_in v4{};
    std::memcpy(&v4, &address, sizeof v4);
    ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
    return std::string{text} + ":" + std::to_string(ntohs(v4.sin_port));
}

std::expected<std::vector<socket_address>, std::string> resolve(const dial_target& target)
{
    auto query = std::make_unique<name_query>(target);
    gaicb* list[] = {&query->request};
    int error = ::getaddrinfo_a(GAI_NOWAIT, list, 1, nullptr);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(target.timeout);
    const timespec limit{seconds.count(),
                         std::chrono::nanoseconds{target.timeout - seconds}.count()};
    if (error == 0 && ::gai_suspend(list, 1, &limit) == EAI_AGAIN) {
        (void)query.release(); // the resolver's thread goes on with it until the process ends
        return std::unexpected{"no answer to the name in time"};
    }
    if (error == 0)
        error = ::gai_error(&query->request);
    const result_list found{query->request.ar_result};
    if (error != 0)
        return std::unexpected{std::string{::gai_strerror(error)}};
    std::vector<socket_address> addresses;
    for (const addrinfo* entry = found.first; entry != nullptr; entry = entry->ai_next) {
        socket_address address{.storage{}, .size = entry->ai_addrlen};
        std::memcpy(&address.storage, entry->ai_addr, entry->ai_addrlen);
        addresses.push_back(address);
    }
    return interleave(addresses);
}

std::expected<dialed, std::string> dial(const dial_target& target,
                                        const std::vector<socket_address>& addresses)
{
    const auto deadline = steady_clock::now() + target.timeout;
    race attempts;
    std::size_t next = 0;
    for (;;) {
        const auto left = ceil<milliseconds>(deadline - steady_clock::now());
        if (left <= milliseconds::zero() || (next == addresses.size() && attempts.idle()))
            return std::unexpected{attempts.verdict()};
        if (next < addresses.size())
            attempts.start(addresses[next++]);
        if (attempts.idle())
            continue;
        const bool last = next == addresses.size();
        if (auto won = attempts.wait(last ? left : std::min(left, attempt_delay))) {
            make_blocking(won->socket.get());
            return dialed{std::move(won->socket), won->peer, won->mptcp_refused};
        }
    }
}

} // namespace manypath::launcher
