// readable.cpp: FIONREAD, as edge-triggered programs and all others see it.
// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include <array>
#include <climits>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "tests/preload/subject.hpp"

using namespace manypath;
using namespace manypath::test;

namespace {

constexpr int sent_bytes = 10;

/// A connection whose peer has sent `sent_bytes`, which have arrived.
subject with_bytes(opener by)
{
    subject result = make_subject(by, state::connected, AF_INET);
    const std::array<char, sent_bytes> bytes{};
    checked(static_cast<int>(send(result.others.back().get(), bytes.data(), bytes.size(), 0)),
            "send");
    pollfd ready{.fd = result.fd.get(), .events = POLLIN, .revents = 0};
    checked(poll(&ready, 1, 10'000), "poll");
    return result;
}

int readable(int fd)
{
    int count = -1;
    checked(::ioctl(fd, FIONREAD, &count), "FIONREAD");
    return count;
}

void set_nonblocking(int fd)
{
    checked(fcntl(fd, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
}

void watch(int fd, std::uint32_t events)
{
    static const unique_fd epoll{epoll_create1(EPOLL_CLOEXEC)};
    epoll_event event{.events = events, .data = {.fd = fd}};
    checked(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
}

} // namespace

TEST_CASE("FIONREAD counts, unless an edge-triggered program would stop at it", "[preload]")
{
    const subject mptcp = with_bytes(opener::wrapped);
    set_nonblocking(mptcp.fd.get());
    watch(mptcp.fd.get(), EPOLLIN);
    CHECK(readable(mptcp.fd.get()) == sent_bytes);

    const pid_t child = checked(fork(), "fork"); // edges are remembered for the whole process
    if (child == 0) {
        const subject edged = with_bytes(opener::wrapped);
        set_nonblocking(edged.fd.get());
        watch(edged.fd.get(), EPOLLIN | EPOLLET);
        const bool tells_more = readable(edged.fd.get()) == INT_MAX;
        std::array<char, 100> bytes{};
        const bool drained = recv(edged.fd.get(), bytes.data(), bytes.size(), 0) == sent_bytes &&
                             readable(edged.fd.get()) == 0;
        const subject blocking = with_bytes(opener::wrapped);
        const subject tcp = with_bytes(opener::plain);
        set_nonblocking(tcp.fd.get());
        const bool others_count =
            readable(blocking.fd.get()) == sent_bytes && readable(tcp.fd.get()) == sent_bytes;
        _exit(tells_more && drained && others_count ? 0 : 1);
    }
    int status = -1;
    checked(waitpid(child, &status, 0), "waitpid");
    CHECK(status == 0);
}
