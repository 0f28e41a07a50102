// load.cpp: both ends of a benchmark: servers and clients that cost as little as they can.
//
// Bytes are sent from one memory file and received into one buffer, so that the relay in between
// is what takes the time. (MSG_TRUNC would drop them for less, but ends MPTCP streams early.)
//
// bench_load serve    tcp|mptcp PORT
// bench_load download tcp|mptcp ADDRESS PORT SECONDS FLOWS    prints: bytes seconds stalled
// bench_load upload   tcp|mptcp ADDRESS PORT SECONDS FLOWS    prints: bytes seconds stalled
// bench_load connect  tcp|mptcp ADDRESS PORT SECONDS FLOWS    prints: connections seconds failures
// bench_load idle     tcp|mptcp ADDRESS PORT COUNT            prints "ready", ends with its input
// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/sockets.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <fcntl.h>
#include <string_view>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <thread>
#include <vector>

using namespace manypath;
using namespace manypath::bench;

namespace {

using clock = std::chrono::steady_clock;

// What a client asks of the server by its first byte.
constexpr char ask_download = 'd';
constexpr char ask_upload = 'u';
constexpr char ask_answer = 'c';
constexpr char ask_idle = 'i';

constexpr std::size_t chunk_bytes = 1'048'576;
constexpr std::size_t request_bytes = 100;
constexpr std::size_t answer_bytes = 1000;

int memory_file()
{
    static const int file = [] {
        const int made = checked(::memfd_create("load", 0), "memfd_create");
        checked(::ftruncate(made, chunk_bytes), "ftruncate");
        return made;
    }();
    return file;
}

/// @return false when the connection is over
bool send_chunk(int socket)
{
    off_t offset = 0;
    return ::sendfile(socket, memory_file(), &offset, chunk_bytes) > 0;
}

/// @return bytes dropped; 0 at the end; negative after an error or the socket's time limit
ssize_t drop_received(int socket)
{
    static thread_local std::array<std::byte, 262'144> sink;
    return ::recv(socket, sink.data(), sink.size(), 0);
}

// -- server -----------------------------------------------------------------------------------

void serve_download(int socket)
{
    const unique_fd owned{socket};
    while (send_chunk(socket)) {
    }
}

void serve_upload(int socket)
{
    const unique_fd owned{socket};
    std::uint64_t total = 0;
    for (ssize_t n = 1; n > 0;) {
        n = drop_received(socket);
        total += n > 0 ? static_cast<std::uint64_t>(n) : 0;
    }
    ::send(socket, &total, sizeof total, MSG_NOSIGNAL);
}

void answer(int poll, int socket)
{
    std::array<char, request_bytes> request;
    static constexpr std::array<char, answer_bytes> reply{};
    const ssize_t size = ::recv(socket, request.data(), request.size(), MSG_DONTWAIT);
    if (size < 0 && errno == EAGAIN)
        return;
    if (size <= 0) {
        ::close(socket);
        return;
    }
    switch (request[0]) {
    case ask_answer:
        ::send(socket, reply.data(), reply.size(), MSG_NOSIGNAL);
        ::close(socket);
        break;
    case ask_idle:
        ::send(socket, reply.data(), 1, MSG_NOSIGNAL);
        break;
    default: // a thread of its own
        ::epoll_ctl(poll, EPOLL_CTL_DEL, socket, nullptr);
        std::thread{request[0] == ask_upload ? serve_upload : serve_download, socket}.detach();
    }
}

[[noreturn]] void serve(bool mptcp, const char* port)
{
    const auto listener = listen_at(address_of("0.0.0.0", port), mptcp);
    ::fcntl(listener.get(), F_SETFL, O_NONBLOCK);
    const int poll = checked(::epoll_create1(0), "epoll_create1");
    epoll_event wanted{.events = EPOLLIN, .data = {.fd = listener.get()}};
    ::epoll_ctl(poll, EPOLL_CTL_ADD, listener.get(), &wanted);
    std::array<epoll_event, 64> events;
    for (;;) {
        const int count = ::epoll_wait(poll, events.data(), events.size(), -1);
        for (int i = 0; i < count; ++i) {
            const int ready = events[static_cast<std::size_t>(i)].data.fd;
            if (ready != listener.get()) {
                answer(poll, ready);
                continue;
            }
            for (int fd = 0; (fd = ::accept4(ready, nullptr, nullptr, 0)) >= 0;) {
                epoll_event request{.events = EPOLLIN, .data = {.fd = fd}};
                ::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &request);
            }
        }
    }
}

// -- clients ----------------------------------------------------------------------------------

struct job {
    bool mptcp;
    sockaddr_in to;
    std::chrono::duration<double> length;
    int flows;
};

struct result {
    std::atomic<std::uint64_t> bytes{0};
    std::atomic<bool> stalled{false};
};

void set_receive_limit(int socket, int seconds)
{
    const timeval limit{.tv_sec = seconds, .tv_usec = 0};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

unique_fd open_and_ask(const job& work, char what)
{
    unique_fd socket = open_socket(work.mptcp);
    set_receive_limit(socket.get(), 3); // the kernel's MPTCP falls silent for less than that
    checked(connect_to(socket.get(), work.to), "connect");
    checked(static_cast<int>(::send(socket.get(), &what, 1, MSG_NOSIGNAL)), "send");
    return socket;
}

void download(const job& work, result& total)
{
    const auto socket = open_and_ask(work, ask_download);
    const auto end = clock::now() + work.length;
    while (clock::now() < end) {
        const ssize_t n = drop_received(socket.get());
        if (n <= 0) {
            total.stalled = true;
            return;
        }
        total.bytes += static_cast<std::uint64_t>(n);
    }
}

void upload(const job& work, result& total)
{
    const auto socket = open_and_ask(work, ask_upload);
    const auto end = clock::now() + work.length;
    bool moves = true;
    while (moves && clock::now() < end)
        moves = send_chunk(socket.get());
    ::shutdown(socket.get(), SHUT_WR);
    set_receive_limit(socket.get(), 5);
    std::uint64_t arrived = 0;
    if (::recv(socket.get(), &arrived, sizeof arrived, MSG_WAITALL) != sizeof arrived || !moves)
        total.stalled = true;
    total.bytes += arrived;
}

int transfer(const job& work, void (*flow)(const job&, result&))
{
    result total;
    const auto start = clock::now();
    std::vector<std::thread> flows;
    for (int i = 0; i < work.flows; ++i)
        flows.emplace_back(flow, std::cref(work), std::ref(total));
    for (auto& thread : flows)
        thread.join();
    const std::chrono::duration<double> took = clock::now() - start;
    std::printf("%llu %.6f %d\n", static_cast<unsigned long long>(total.bytes.load()), took.count(),
                total.stalled.load());
    return 0;
}

class short_connections {
public:
    explicit short_connections(const job& work)
        : work_(work), poll_(checked(::epoll_create1(0), "epoll_create1"))
    {
    }

    int run()
    {
        const auto start = clock::now();
        for (int i = 0; i < work_.flows; ++i)
            open();
        std::array<epoll_event, 64> events;
        const auto end = start + work_.length;
        while (clock::now() < end) {
            const int count = ::epoll_wait(poll_, events.data(), events.size(), 100);
            for (int i = 0; i < count; ++i)
                step(events[static_cast<std::size_t>(i)]);
        }
        const std::chrono::duration<double> took = clock::now() - start;
        std::printf("%llu %.6f %llu\n", static_cast<unsigned long long>(done_), took.count(),
                    static_cast<unsigned long long>(failed_));
        return 0;
    }

private:
    void open()
    {
        const int socket = open_socket(work_.mptcp, SOCK_NONBLOCK).release();
        connect_to(socket, work_.to);
        epoll_event wanted{.events = EPOLLOUT, .data = {.fd = socket}};
        ::epoll_ctl(poll_, EPOLL_CTL_ADD, socket, &wanted);
    }

    void step(const epoll_event& event)
    {
        const int socket = event.data.fd;
        if ((event.events & EPOLLOUT) != 0) {
            static constexpr std::array<char, request_bytes> request{ask_answer};
            ::send(socket, request.data(), request.size(), MSG_NOSIGNAL);
            epoll_event wanted{.events = EPOLLIN, .data = {.fd = socket}};
            ::epoll_ctl(poll_, EPOLL_CTL_MOD, socket, &wanted);
            return;
        }
        const ssize_t n = drop_received(socket);
        if (n > 0 || (n < 0 && errno == EAGAIN))
            return;
        if (n == 0)
            ++done_;
        else
            ++failed_;
        ::close(socket);
        open();
    }

    const job& work_;
    int poll_;
    std::uint64_t done_ = 0;
    std::uint64_t failed_ = 0;
};

int hold_idle(const job& work)
{
    std::vector<unique_fd> held;
    for (int i = 0; i < work.flows; ++i) {
        held.push_back(open_and_ask(work, ask_idle));
        set_receive_limit(held.back().get(), 10);
        char established = 0;
        checked(static_cast<int>(::recv(held.back().get(), &established, 1, 0)) - 1, "idle");
    }
    std::puts("ready");
    static_cast<void>(std::fflush(stdout));
    while (std::getchar() != EOF) {
    }
    return 0;
}

} // namespace

int main(int argc, char** argv)
{
    static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
    const std::string_view what = argc > 1 ? argv[1] : "";
    const bool mptcp = argc > 2 && std::string_view{argv[2]} == "mptcp";
    if (what == "serve" && argc == 4)
        serve(mptcp, argv[3]);
    if (what == "idle" && argc == 6)
        return hold_idle({mptcp, address_of(argv[3], argv[4]), {}, std::atoi(argv[5])});
    if (argc != 7)
        return 2;
    const job work{mptcp, address_of(argv[3], argv[4]),
                   std::chrono::duration<double>{std::atof(argv[5])}, std::atoi(argv[6])};
    if (what == "download")
        return transfer(work, download);
    if (what == "upload")
        return transfer(work, upload);
    return short_connections{work}.run();
}
