// splice_loop.cpp: a relay that does nothing but splice, the bar for the gateway's own.
//
// One thread per connection, one 256 KiB pipe per direction, poll(2) in between: no timer, no
// accounting, no limit, no log.
//
// bench_splice tcp|mptcp LISTEN-PORT tcp|mptcp TO-ADDRESS TO-PORT
// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/sockets.hpp"

#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <string_view>
#include <thread>

using namespace manypath;
using namespace manypath::bench;

namespace {

constexpr std::size_t pipe_bytes = 262'144;
constexpr unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK;

struct direction {
    int from;
    int to;
    int pipe[2] = {-1, -1};
    std::size_t held = 0;
    bool ended = false;

    direction(int source, int sink) : from(source), to(sink)
    {
        checked(::pipe2(pipe, O_NONBLOCK), "pipe2");
        checked(::fcntl(pipe[1], F_SETPIPE_SZ, static_cast<int>(pipe_bytes)), "F_SETPIPE_SZ");
    }
    ~direction()
    {
        ::close(pipe[0]);
        ::close(pipe[1]);
    }

    /// @return false after an error
    bool move()
    {
        for (;;) {
            while (held > 0) {
                const ssize_t n = ::splice(pipe[0], nullptr, to, nullptr, held, flags);
                if (n <= 0)
                    return n < 0 && errno == EAGAIN;
                held -= static_cast<std::size_t>(n);
            }
            const ssize_t n = ::splice(from, nullptr, pipe[1], nullptr, pipe_bytes, flags);
            if (n < 0)
                return errno == EAGAIN;
            if (n == 0) {
                ended = true;
                return ::shutdown(to, SHUT_WR) == 0;
            }
            held = static_cast<std::size_t>(n);
        }
    }

    [[nodiscard]] pollfd waits_for() const
    {
        if (ended)
            return {.fd = -1, .events = 0, .revents = 0};
        if (held > 0)
            return {.fd = to, .events = POLLOUT, .revents = 0};
        return {.fd = from, .events = POLLIN, .revents = 0};
    }
};

void serve(int client, int server)
{
    const unique_fd owned_client{client};
    const unique_fd owned_server{server};
    direction there{client, server};
    direction back{server, client};
    while (!there.ended || !back.ended) {
        pollfd waits[] = {there.waits_for(), back.waits_for()};
        if (::poll(waits, 2, -1) < 0)
            return;
        if (waits[0].revents != 0 && !there.move())
            return;
        if (waits[1].revents != 0 && !back.move())
            return;
    }
}

} // namespace

int main(int argc, char** argv)
{
    if (argc != 6)
        return 2;
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
    const bool accepts_mptcp = std::string_view{argv[1]} == "mptcp";
    const bool dials_mptcp = std::string_view{argv[3]} == "mptcp";
    const auto to = address_of(argv[4], argv[5]);
    const auto listener = listen_at(address_of("0.0.0.0", argv[2]), accepts_mptcp);
    constexpr int on = 1;
    for (;;) {
        const int client =
            checked(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK), "accept");
        ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        unique_fd server = open_socket(dials_mptcp);
        checked(connect_to(server.get(), to), "connect");
        ::fcntl(server.get(), F_SETFL, O_NONBLOCK);
        std::thread{serve, client, server.release()}.detach();
    }
}
