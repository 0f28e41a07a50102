// main.cpp: runs the tests in a network namespace of their own, which needs root.
// SPDX-License-Identifier: Apache-2.0
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include <cstdio>

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#include "common/base/mptcp_abi.hpp"
#include "tests/preload/subject.hpp"

namespace {

/// @return what is missing, or null
const char* enter_namespace()
{
    using manypath::unique_fd;
    namespace kernel = manypath::test::kernel;
    if (unshare(CLONE_NEWNET) != 0)
        return "these tests make a network namespace and need root";
    const unique_fd control{kernel::socket(AF_INET, SOCK_DGRAM, 0)};
    ifreq loopback{.ifr_ifrn = {.ifrn_name = "lo"}, .ifr_ifru = {}};
    loopback.ifr_flags = IFF_UP | IFF_RUNNING;
    if (ioctl(control.get(), SIOCSIFFLAGS, &loopback) != 0)
        return "the loopback interface cannot be brought up";
    const unique_fd mptcp{kernel::socket(AF_INET, SOCK_STREAM, manypath::abi::ipproto_mptcp)};
    if (!mptcp)
        return "this kernel has no MPTCP";
    const unique_fd wrapped{socket(AF_INET, SOCK_STREAM, 0)};
    if (kernel::option(wrapped.get(), SOL_SOCKET, SO_PROTOCOL) != manypath::abi::ipproto_mptcp)
        return "libmanypath.so is not in LD_PRELOAD; ctest puts it there";
    return nullptr;
}

} // namespace

int main(int count, char** arguments)
{
    if (const char* missing = enter_namespace()) {
        static_cast<void>(std::fprintf(stderr, "preload tests: %s\n", missing));
        return 2;
    }
    return Catch::Session().run(count, arguments);
}
