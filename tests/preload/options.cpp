// options.cpp: the option matrix. A wrapped socket answers as TCP would, whatever its state.
// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/preload/subject.hpp"

using namespace manypath;
using namespace manypath::test;

namespace {

struct option_name {
    int level;
    int number;
};

/// Success would be a lie that the program acts on, so it is told no, with this errno.
struct promise {
    option_name name;
    int answer;
};

const promise promises[] = {
    {{IPPROTO_TCP, TCP_ULP}, ENOENT},
    {{IPPROTO_TCP, TCP_REPAIR}, EPERM},
    {{SOL_SOCKET, SO_PEEK_OFF}, EOPNOTSUPP},
    {{SOL_SOCKET, SO_ZEROCOPY}, ENOPROTOOPT},
    {{SOL_SOCKET, SO_BINDTODEVICE}, EPERM},
    {{SOL_SOCKET, SO_BINDTOIFINDEX}, EPERM},
    {{IPPROTO_IP, IP_MINTTL}, ENOPROTOOPT},
    {{IPPROTO_IP, IP_OPTIONS}, EPERM},
    {{IPPROTO_IPV6, 73 /* IPV6_MINHOPCOUNT */}, ENOPROTOOPT},
    {{IPPROTO_IPV6, 6 /* IPV6_2292PKTOPTIONS */}, EPERM},
};

std::optional<int> promised_answer(option_name option)
{
    for (const promise& entry : promises)
        if (entry.name.level == option.level && entry.name.number == option.number)
            return entry.answer;
    return std::nullopt;
}

/// Facts about one connection, which the library's stand-in cannot know: ports, clocks, and what
/// the packet said that opened an accepted connection.
bool is_a_fact(option_name option)
{
    constexpr int ip_protocol = 52; // reads as the local port
    switch (option.level) {
    case IPPROTO_IP:
        return option.number == ip_protocol;
    case IPPROTO_IPV6:
        return option.number == IPV6_PATHMTU || option.number == IPV6_MULTICAST_IF ||
               option.number == IPV6_MULTICAST_HOPS;
    case IPPROTO_TCP:
        return option.number == TCP_TIMESTAMP;
    default:
        return false;
    }
}

struct answer {
    int result = 0; ///< 0 or errno
    std::array<unsigned char, 256> value{};
    socklen_t length = 128;
};

using set_function = decltype(kernel::setsockopt);
using read_function = decltype(kernel::getsockopt);

int set(set_function* function, int fd, option_name option, int value)
{
    errno = E2BIG;
    const bool ok = function(fd, option.level, option.number, &value, sizeof(value)) == 0;
    if (ok && errno != E2BIG)
        return -1; // a successful call has no business with errno
    return ok ? 0 : errno;
}

answer read(read_function* function, int fd, option_name option)
{
    answer result;
    errno = E2BIG;
    const bool ok =
        function(fd, option.level, option.number, result.value.data(), &result.length) == 0;
    result.result = !ok ? errno : errno == E2BIG ? 0 : -1;
    return result;
}

/// Whether MPTCP itself refuses the option in this state, so that the library has to step in.
bool kernel_refuses(state where, int family, option_name option, int value)
{
    const subject untouched = make_subject(opener::wrapped, where, family);
    return set(kernel::setsockopt, untouched.fd.get(), option, value) != 0;
}

void compare(state where, int family, option_name option, int value)
{
    CAPTURE(name_of(where), family, option.level, option.number, value);
    const subject wrapped = make_subject(opener::wrapped, where, family);
    const subject plain = make_subject(opener::plain, where, family);
    const int plain_result = set(kernel::setsockopt, plain.fd.get(), option, value);
    const int wrapped_result = set(::setsockopt, wrapped.fd.get(), option, value);
    const auto refused = value != 0 || option.number == SO_PEEK_OFF || option.number == TCP_ULP
                             ? promised_answer(option)
                             : std::nullopt;
    const bool refuses = kernel_refuses(where, family, option, value);
    if (plain_result == 0 && refuses && refused) {
        CHECK(wrapped_result == *refused);
        return;
    }
    // MPTCP takes a few options that TCP refuses; the other way round must never be seen.
    if (wrapped_result != 0 || refuses)
        CHECK(wrapped_result == plain_result);

    const answer expected = read(kernel::getsockopt, plain.fd.get(), option);
    const answer got = read(::getsockopt, wrapped.fd.get(), option);
    if (got.result != 0 && !is_a_fact(option))
        CHECK(got.result == expected.result);
    if (plain_result == 0 && refuses && expected.result == 0 && got.result == 0 &&
        !is_a_fact(option)) {
        CHECK(got.length == expected.length);
        CHECK(got.value == expected.value);
    }
}

/// Hundreds of options, but only those that TCP or MPTCP know in a state say anything; 90 is above
/// the highest number of any level.
constexpr int highest_option = 90;

} // namespace

// Goal: no more of a value is read than the kernel reads. Method: nothing is readable behind the
// int.
TEST_CASE("an int that its program calls longer is read as an int", "[preload][options]")
{
    const unique_fd fd = open_stream(opener::wrapped, AF_INET);
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    void* memory =
        mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(memory != MAP_FAILED);
    auto* end = static_cast<std::byte*>(memory) + page;
    checked(mprotect(end, page, PROT_NONE), "mprotect");
    errno = 0;
    CHECK(::setsockopt(fd.get(), IPPROTO_TCP, TCP_REPAIR, end - sizeof(int), 4096) == -1);
    CHECK(errno == ENOPROTOOPT); // not a value to remember; what matters is being alive
    munmap(memory, 2 * page);
}

// Goal: the program never sees an error that TCP would not have given, and reads back what TCP
// would show after the same call.
// Method: the same calls on a wrapped and on a plain socket in the same state.
TEST_CASE("options of a wrapped socket answer as those of TCP", "[preload][options]")
{
    const state where = GENERATE(from_range(std::begin(all_states), std::end(all_states)));
    const int value = GENERATE(1, 0, -1, 7000);
    for (int number = 1; number <= highest_option; ++number) {
        compare(where, AF_INET, {SOL_SOCKET, number}, value);
        compare(where, AF_INET, {IPPROTO_IP, number}, value);
        compare(where, AF_INET, {IPPROTO_TCP, number}, value);
        compare(where, AF_INET6, {IPPROTO_IPV6, number}, value);
        compare(where, AF_INET6, {IPPROTO_TCP, number}, value);
    }
}

TEST_CASE("options that were never set read as TCP's defaults", "[preload][options]")
{
    const state where = GENERATE(from_range(std::begin(all_states), std::end(all_states)));
    const subject wrapped = make_subject(opener::wrapped, where, AF_INET6);
    const subject plain = make_subject(opener::plain, where, AF_INET6);
    constexpr int levels[] = {SOL_SOCKET, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_TCP};
    for (const int level : levels) {
        for (int number = 1; number <= highest_option; ++number) {
            const option_name option{level, number};
            CAPTURE(name_of(where), level, number);
            const answer by_kernel = read(kernel::getsockopt, wrapped.fd.get(), option);
            const answer expected = read(kernel::getsockopt, plain.fd.get(), option);
            const answer got = read(::getsockopt, wrapped.fd.get(), option);
            if (is_a_fact(option))
                continue;
            if (by_kernel.result == 0)
                CHECK(got.result == 0);
            else
                CHECK(got.result == expected.result);
            if (by_kernel.result != 0 && expected.result == 0 && got.result == 0)
                CHECK(got.value == expected.value);
        }
    }
}

TEST_CASE("a short buffer, a bad pointer and a bad descriptor get TCP's errors",
          "[preload][options]")
{
    const subject wrapped = make_subject(opener::wrapped, state::connected, AF_INET);
    const subject plain = make_subject(opener::plain, state::connected, AF_INET);
    const auto both = [&](auto call) {
        errno = 0;
        const int expected = call(plain.fd.get(), kernel::setsockopt, kernel::getsockopt);
        const int expected_errno = errno;
        errno = 0;
        CHECK(call(wrapped.fd.get(), ::setsockopt, ::getsockopt) == expected);
        CHECK(errno == expected_errno);
    };
    const int timeout_ms = 4000;
    auto* nowhere = reinterpret_cast<int*>(8);
    both([&](int fd, auto* set, auto*) {
        return set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, 1);
    });
    both([&](int fd, auto* set, auto*) {
        return set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, nowhere, sizeof(int));
    });
    both([&](int fd, auto*, auto* read) {
        socklen_t length = sizeof(int);
        return read(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, nowhere, &length);
    });
    both([&](int fd, auto*, auto* read) {
        int value = 0;
        return read(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, reinterpret_cast<socklen_t*>(8));
    });
    both([&](int fd, auto*, auto* read) {
        std::array<unsigned char, 2> value{};
        socklen_t length = value.size();
        return read(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, value.data(), &length) + int(length);
    });
    CHECK(::setsockopt(-1, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(int)) == -1);
    CHECK(errno == EBADF);
}
