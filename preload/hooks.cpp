// hooks.cpp: the functions that libmanypath.so puts in front of libc's.
//
// Each hook has its reason:
//   socket               asks for MPTCP where the program asked for TCP
//   setsockopt           remembers what MPTCP refuses and TCP takes
//   getsockopt           answers for it, and notices (SO_ERROR) how a non-blocking connect ended
//   connect              notices that a connection became plain TCP, and gives it its options
//   accept, accept4      pass a listener's options on, as TCP does
//   epoll_ctl, ioctl     keep FIONREAD from stopping an edge-triggered program (edge_trigger.hpp)
// close() and dup() need none: everything is keyed by the socket's cookie, which the kernel keeps.
// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <cstdarg>

#include <netinet/in.h>

#include "preload/debug_line.hpp"
#include "preload/edge_trigger.hpp"
#include "preload/next.hpp"
#include "preload/options.hpp"
#include "preload/reporter.hpp"
#include "preload/settings.hpp"
#include "preload/system.hpp"

namespace manypath::preload {

namespace {

enum class stage : int { fresh, enabled, disabled };

// What every start touches stands in .data, beside the pointers: one page fault, not two.
[[gnu::section(".data")]] constinit std::atomic<stage> now{stage::fresh};
[[gnu::section(".data")]] constinit reporter the_reporter;
constinit edge_trigger_watch the_edges;
constinit shadow_table the_table;
constinit option_keeper the_options{the_table, the_reporter};

/// Reads the settings; idempotent, so two early callers do no harm to each other.
stage prepare()
{
    const errno_guard guard;
    const settings wanted = read_settings();
    if (wanted.enabled && wanted.debug)
        start_debugging();
    if (wanted.enabled && wanted.report_path != nullptr)
        the_reporter.open(wanted.report_path);
    const stage result = wanted.enabled ? stage::enabled : stage::disabled;
    now.store(result, std::memory_order_release);
    return result;
}

/// Another library's constructor may call a hook before ours has run.
bool enabled()
{
    stage current = now.load(std::memory_order_acquire);
    if (current == stage::fresh) [[unlikely]]
        current = prepare();
    return current == stage::enabled;
}

[[gnu::constructor]] void load()
{
    next::resolve_all();
    enabled();
}

[[gnu::destructor]] void unload()
{
    const errno_guard guard;
    if (the_reporter.active())
        the_reporter.look_at_open_sockets();
}

bool wants_mptcp(int family, int type, int protocol)
{
    constexpr int type_mask = 0xf; // the rest are SOCK_NONBLOCK and SOCK_CLOEXEC
    return (family == AF_INET || family == AF_INET6) && (type & type_mask) == SOCK_STREAM &&
           (protocol == 0 || protocol == IPPROTO_TCP);
}

void tell_opened(int family, int fd, int refusal)
{
    const errno_guard guard;
    if (the_reporter.active()) {
        if (refusal == 0)
            the_reporter.opened_mptcp(fd);
        else if (fd >= 0)
            the_reporter.opened_tcp(refusal);
        else
            the_reporter.failed(refusal);
    }
    if (!debugging())
        return;
    debug_line line;
    line.text("socket ").number(fd).text(family == AF_INET6 ? " (IPv6): " : " (IPv4): ");
    if (refusal == 0)
        line.text("MPTCP");
    else
        line.text(fd >= 0 ? "plain TCP, MPTCP refused with " : "MPTCP refused with ")
            .error(refusal);
    line.send();
}

int open_socket(int family, int type, int protocol)
{
    const int errno_before = errno;
    int fd = next::socket(family, type, abi::ipproto_mptcp);
    int refusal = 0;
    if (fd < 0) {
        // Whatever the reason, TCP's result is the one the program gets.
        refusal = errno;
        errno = errno_before;
        fd = next::socket(family, type, protocol);
    }
    if (the_reporter.active() || debugging())
        tell_opened(family, fd, refusal);
    return fd;
}

/// After connect() or SO_ERROR said that `fd` is connected.
void connected(int fd)
{
    const errno_guard guard;
    if (!the_reporter.active() && !debugging() && !the_options.any())
        return;
    if (!is_mptcp_socket(fd))
        return;
    const connection_state state = look_at(fd);
    if (state.verdict == report::verdict::unconnected)
        return;
    the_options.settle(fd);
    if (the_reporter.active())
        the_reporter.saw(socket_cookie(fd), state);
    if (debugging())
        debug_line()
            .text("socket ")
            .number(fd)
            .text(state.verdict == report::verdict::multipath ? ": connected with MPTCP"
                                                              : ": connected, fell back to TCP")
            .send();
}

void accepted(int listener, int fd)
{
    const errno_guard guard;
    if (!the_reporter.active() && !debugging() && !the_options.any())
        return;
    if (!is_mptcp_socket(listener))
        return;
    const bool mptcp = is_mptcp_socket(fd);
    the_options.inherit(listener, fd, mptcp);
    if (the_reporter.active()) {
        if (mptcp)
            the_reporter.accepted_mptcp(fd);
        else
            the_reporter.accepted_tcp();
    }
    if (debugging())
        debug_line()
            .text("socket ")
            .number(fd)
            .text(mptcp ? ": accepted with MPTCP" : ": accepted, the peer speaks TCP")
            .send();
}

} // namespace

} // namespace manypath::preload

namespace preload = manypath::preload;

extern "C" {

[[gnu::visibility("default")]] int socket(int family, int type, int protocol) noexcept
{
    if (!preload::enabled() || !preload::wants_mptcp(family, type, protocol))
        return preload::next::socket(family, type, protocol);
    return preload::open_socket(family, type, protocol);
}

[[gnu::visibility("default")]] int setsockopt(int fd, int level, int name, const void* value,
                                              socklen_t length) noexcept
{
    const bool on = preload::enabled();
    const int errno_before = errno;
    // First the old values, so that a newer one is not overwritten by them.
    if (on && preload::the_options.any())
        preload::the_options.settle(fd);
    const int result = preload::next::setsockopt(fd, level, name, value, length);
    if (!on || level == manypath::abi::sol_mptcp)
        return result;
    if (result == 0) {
        if (preload::the_options.any())
            preload::the_options.forget(fd, level, name);
        return 0;
    }
    const int error = errno;
    if (!preload::option_keeper::is_refusal_to_set(error) || !preload::is_mptcp_socket(fd)) {
        errno = error;
        return result;
    }
    errno = errno_before;
    return preload::the_options.set(fd, level, name, value, length);
}

[[gnu::visibility("default")]] int getsockopt(int fd, int level, int name, void* value,
                                              socklen_t* length) noexcept
{
    if (!preload::enabled() || level == manypath::abi::sol_mptcp)
        return preload::next::getsockopt(fd, level, name, value, length);
    const int errno_before = errno;
    if (preload::the_options.any()) {
        preload::the_options.settle(fd);
        if (preload::the_options.remembers(fd, level, name))
            return preload::the_options.read(fd, level, name, value, length);
    }
    const int result = preload::next::getsockopt(fd, level, name, value, length);
    if (result == 0) {
        if (level == SOL_SOCKET && name == SO_ERROR)
            preload::connected(fd);
        return 0;
    }
    const int error = errno;
    if (!preload::option_keeper::is_refusal_to_read(error) || !preload::is_mptcp_socket(fd)) {
        errno = error;
        return result;
    }
    errno = errno_before;
    return preload::the_options.read(fd, level, name, value, length);
}

[[gnu::visibility("default")]] int connect(int fd, const sockaddr* address, socklen_t length)
{
    const int result = preload::next::connect(fd, address, length);
    // EISCONN is how some programs learn that a non-blocking connect has succeeded.
    if (preload::enabled() && (result == 0 || errno == EISCONN))
        preload::connected(fd);
    return result;
}

[[gnu::visibility("default")]] int accept(int fd, sockaddr* address, socklen_t* length)
{
    const int result = preload::next::accept(fd, address, length);
    if (preload::enabled() && result >= 0)
        preload::accepted(fd, result);
    return result;
}

[[gnu::visibility("default")]] int accept4(int fd, sockaddr* address, socklen_t* length, int flags)
{
    const int result = preload::next::accept4(fd, address, length, flags);
    if (preload::enabled() && result >= 0)
        preload::accepted(fd, result);
    return result;
}

[[gnu::visibility("default")]] int epoll_ctl(int epoll, int operation, int fd,
                                             epoll_event* event) noexcept
{
    const int result = preload::next::epoll_ctl(epoll, operation, fd, event);
    if (result == 0 && operation != EPOLL_CTL_DEL && preload::enabled())
        preload::the_edges.registered(fd, event->events);
    return result;
}

[[gnu::visibility("default")]] int ioctl(int fd, preload::next::ioctl_request request, ...) noexcept
{
    va_list arguments;
    va_start(arguments, request);
    void* argument = va_arg(arguments, void*);
    va_end(arguments);
    const int result = preload::next::ioctl(fd, request, argument);
    if (result == 0 && request == FIONREAD && preload::enabled()) {
        auto* count = static_cast<int*>(argument);
        *count = preload::the_edges.readable(fd, *count);
    }
    return result;
}

} // extern "C"
