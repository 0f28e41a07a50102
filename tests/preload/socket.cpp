// socket.cpp: what socket() gives a wrapped program.
// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include <cerrno>
#include <vector>

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/base/mptcp_abi.hpp"
#include "tests/preload/subject.hpp"

using namespace manypath;
using namespace manypath::test;

namespace {

struct socket_arguments {
    int family;
    int type;
    int protocol;
    bool becomes_mptcp;
};

const socket_arguments table[] = {
    {AF_INET, SOCK_STREAM, 0, true},
    {AF_INET, SOCK_STREAM, IPPROTO_TCP, true},
    {AF_INET6, SOCK_STREAM, 0, true},
    {AF_INET6, SOCK_STREAM, IPPROTO_TCP, true},
    {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, true},
    {AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, IPPROTO_TCP, true},
    {AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, true},
    {AF_INET, SOCK_STREAM, IPPROTO_SCTP, false},
    {AF_INET, SOCK_STREAM, abi::ipproto_mptcp, false},
    {AF_INET6, SOCK_STREAM, abi::ipproto_mptcp, false},
    {AF_INET, SOCK_STREAM, IPPROTO_UDP, false},
    {AF_INET, SOCK_STREAM, -1, false},
    {AF_INET, SOCK_STREAM | 0x10, 0, false},
    {AF_INET, SOCK_DGRAM, 0, false},
    {AF_INET6, SOCK_DGRAM, IPPROTO_UDP, false},
    {AF_INET, SOCK_RAW, IPPROTO_TCP, false},
    {AF_INET, SOCK_SEQPACKET, 0, false},
    {AF_UNIX, SOCK_STREAM, 0, false},
    {AF_UNIX, SOCK_DGRAM, 0, false},
    {AF_NETLINK, SOCK_RAW, 0, false},
    {AF_PACKET, SOCK_DGRAM, 0, false},
    {-1, SOCK_STREAM, 0, false},
    {12345, SOCK_STREAM, IPPROTO_TCP, false},
};

/// Runs `body` in a child, because it changes what cannot be changed back; @return its status.
template <class Body>
int in_child(Body body)
{
    const pid_t child = checked(fork(), "fork");
    if (child == 0)
        _exit(body());
    int status = 0;
    checked(waitpid(child, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

bool write_file(const char* path, const char* text)
{
    const unique_fd file{open(path, O_WRONLY | O_CLOEXEC)};
    return file && write(file.get(), text, 1) == 1;
}

int protocol_of(int fd)
{
    return kernel::option(fd, SOL_SOCKET, SO_PROTOCOL);
}

} // namespace

// Goal: TCP becomes MPTCP, and everything else is as if the library were not there.
// Method: compare each call with the system call that it should amount to.
TEST_CASE("socket() asks for MPTCP exactly where the program asked for TCP", "[preload]")
{
    for (const auto& [family, type, protocol, becomes_mptcp] : table) {
        CAPTURE(family, type, protocol);
        errno = E2BIG;
        const unique_fd wrapped{::socket(family, type, protocol)};
        const int wrapped_errno = errno;
        errno = E2BIG;
        const unique_fd expected{
            kernel::socket(family, type, becomes_mptcp ? abi::ipproto_mptcp : protocol)};
        CHECK(wrapped_errno == errno);
        REQUIRE(static_cast<bool>(wrapped) == static_cast<bool>(expected));
        if (!wrapped)
            continue;
        CHECK(protocol_of(wrapped.get()) == protocol_of(expected.get()));
        CHECK(fcntl(wrapped.get(), F_GETFD) == fcntl(expected.get(), F_GETFD));
        CHECK(fcntl(wrapped.get(), F_GETFL) == fcntl(expected.get(), F_GETFL));
    }
}

TEST_CASE("a refused MPTCP becomes TCP at once and leaves errno alone", "[preload]")
{
    const int failed_step = in_child([] {
        if (unshare(CLONE_NEWNET) != 0 || !write_file("/proc/sys/net/mptcp/enabled", "0"))
            return 1;
        if (kernel::socket(AF_INET, SOCK_STREAM, abi::ipproto_mptcp) != -1 || errno != ENOPROTOOPT)
            return 2;
        for (const int family : {AF_INET, AF_INET6}) {
            errno = E2BIG;
            const unique_fd fd{::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
            if (errno != E2BIG)
                return 3;
            if (protocol_of(fd.get()) != IPPROTO_TCP)
                return 4;
            if (fcntl(fd.get(), F_GETFD) != FD_CLOEXEC ||
                (fcntl(fd.get(), F_GETFL) & O_NONBLOCK) == 0)
                return 5;
        }
        return 0;
    });
    CHECK(failed_step == 0);
}

TEST_CASE("when TCP fails as well, the program gets TCP's errno", "[preload]")
{
    const int failed_step = in_child([] {
        const rlimit none{.rlim_cur = 0, .rlim_max = 0};
        if (setrlimit(RLIMIT_NOFILE, &none) != 0)
            return 1;
        if (::socket(AF_INET, SOCK_STREAM, 0) != -1 || errno != EMFILE)
            return 2;
        // A type with unknown bits is refused by MPTCP and TCP alike, with the same error.
        return ::socket(AF_INET, SOCK_STREAM | 0x100, 0) == -1 && errno == EINVAL ? 0 : 3;
    });
    CHECK(failed_step == 0);
}

TEST_CASE("a wrapped client and a wrapped server speak MPTCP to each other", "[preload]")
{
    for (const int family : {AF_INET, AF_INET6}) {
        const subject client = make_subject(opener::wrapped, state::connected, family);
        CHECK(kernel::option(client.fd.get(), IPPROTO_TCP, abi::tcp_is_mptcp) == 1);
        CHECK(protocol_of(client.others.back().get()) == abi::ipproto_mptcp);
        const subject alone = make_subject(opener::wrapped, state::fallen_back, family);
        CHECK(kernel::option(alone.fd.get(), IPPROTO_TCP, abi::tcp_is_mptcp) == 0);
    }
}
