// concurrency.cpp: hooks in threads, signal handlers, and children of fork and vfork.
// SPDX-License-Identifier: Apache-2.0
#include <catch2/catch.hpp>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>
#include <vector>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "common/base/mptcp_abi.hpp"
#include "tests/preload/subject.hpp"

using namespace manypath;
using namespace manypath::test;

namespace {

/// Sets and reads back one option; uses nothing that a signal handler may not.
bool option_round_trip_on(int fd, int value)
{
    int got = 0;
    socklen_t length = sizeof(got);
    return kernel::option(fd, SOL_SOCKET, SO_PROTOCOL) == abi::ipproto_mptcp &&
           ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof(value)) == 0 &&
           ::getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &got, &length) == 0 && got == value;
}

bool option_round_trip(int value)
{
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool ok = option_round_trip_on(fd, value);
    if (fd >= 0)
        close(fd);
    return ok;
}

std::atomic<int> handled{0};
std::atomic<int> failed_in_handler{0};

void handle_alarm(int)
{
    const int errno_before = errno;
    errno = E2BIG;
    if (!option_round_trip(1 + handled.load()) || errno != E2BIG)
        failed_in_handler.fetch_add(1);
    handled.fetch_add(1);
    errno = errno_before;
}

int exit_status(pid_t child)
{
    int status = 0;
    checked(waitpid(child, &status, 0), "waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

} // namespace

TEST_CASE("threads do not see each other's options", "[preload]")
{
    constexpr int rounds = 2000;
    std::atomic<int> failures{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 8; ++thread) {
        threads.emplace_back([thread, &failures] {
            for (int i = 1; i <= rounds; ++i)
                if (!option_round_trip(thread * rounds + i))
                    failures.fetch_add(1);
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(failures == 0);
}

TEST_CASE("threads that set one option of one socket leave one of their values", "[preload]")
{
    const unique_fd fd = open_stream(opener::wrapped, AF_INET);
    std::vector<std::thread> threads;
    for (int value = 1; value <= 4; ++value) {
        threads.emplace_back([value, &fd] {
            for (int i = 0; i < 500; ++i)
                ::setsockopt(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof(value));
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    int got = 0;
    socklen_t length = sizeof(got);
    REQUIRE(::getsockopt(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &got, &length) == 0);
    CHECK((got >= 1 && got <= 4));
}

TEST_CASE("a signal handler may open sockets in the middle of a hook", "[preload]")
{
    constexpr int wanted = 200;
    struct sigaction action{};
    action.sa_handler = handle_alarm;
    action.sa_flags = SA_RESTART;
    REQUIRE(sigaction(SIGALRM, &action, nullptr) == 0);
    const itimerval often{.it_interval = {.tv_sec = 0, .tv_usec = 500},
                          .it_value = {.tv_sec = 0, .tv_usec = 500}};
    REQUIRE(setitimer(ITIMER_REAL, &often, nullptr) == 0);
    int failures = 0;
    for (int value = 1; handled < wanted; ++value)
        failures += option_round_trip(value) ? 0 : 1;
    const itimerval never{};
    REQUIRE(setitimer(ITIMER_REAL, &never, nullptr) == 0);
    CHECK(failures == 0);
    CHECK(failed_in_handler == 0);
}

TEST_CASE("a child of fork has the library and its parent's options", "[preload]")
{
    const unique_fd fd = open_stream(opener::wrapped, AF_INET);
    const int value = 1234;
    REQUIRE(::setsockopt(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &value, sizeof(value)) == 0);
    const pid_t child = checked(fork(), "fork");
    if (child == 0) {
        int got = 0;
        socklen_t length = sizeof(got);
        const bool same =
            ::getsockopt(fd.get(), IPPROTO_TCP, TCP_USER_TIMEOUT, &got, &length) == 0 &&
            got == value;
        _exit(same && option_round_trip(99) ? 0 : 1);
    }
    CHECK(exit_status(child) == 0);
}

TEST_CASE("a child of vfork may call the hooks", "[preload]")
{
    volatile bool ok = false;
    const pid_t child = vfork(); // NOLINT(clang-analyzer-security.insecureAPI.vfork): the subject
    if (child == 0) {
        ok = option_round_trip(77);
        _exit(0);
    }
    REQUIRE(child > 0);
    CHECK(exit_status(child) == 0);
    CHECK(ok);
    CHECK(option_round_trip(78));
}

namespace {

/// What a thread and the one that cancels it share.
struct cancelled_thread {
    unique_fd listener = listen_on_loopback(opener::wrapped, AF_INET);
    std::atomic<bool> entered{false};
    std::atomic<bool> cancel_pending{false};
    std::atomic<bool> passed_options{false};
    std::atomic<int> fd{-1};

    static void* body(void* argument)
    {
        auto& shared = *static_cast<cancelled_thread*>(argument);
        pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, nullptr);
        shared.entered = true;
        while (!shared.cancel_pending)
            sched_yield();
        pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, nullptr);
        shared.fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        shared.passed_options = option_round_trip_on(shared.fd, 55);
        ::accept(shared.listener.get(), nullptr, nullptr);
        return nullptr;
    }
};

} // namespace

// Goal: the hooks of options are no cancellation points, that of accept still is one.
TEST_CASE("a cancelled thread ends in accept and not before", "[preload]")
{
    cancelled_thread shared;
    pthread_t thread{};
    REQUIRE(pthread_create(&thread, nullptr, cancelled_thread::body, &shared) == 0);
    while (!shared.entered)
        sched_yield();
    REQUIRE(pthread_cancel(thread) == 0);
    shared.cancel_pending = true;
    void* result = nullptr;
    REQUIRE(pthread_join(thread, &result) == 0);
    CHECK(result == PTHREAD_CANCELED);
    CHECK(shared.passed_options);
    close(shared.fd);
}
