// next.cpp: looks the next functions up, and does without while that is impossible.
//
// SPDX-License-Identifier: Apache-2.0
#include "preload/next.hpp"

#include <atomic>

#include <dlfcn.h>

#include "preload/system.hpp"

namespace manypath::preload::next {

namespace {

/// The thread inside dlsym(), 0 for none. dlsym() may allocate, and an allocator that opens a
/// socket would come back here without end.
[[gnu::section(".data")]] constinit std::atomic<int> resolving_thread{0};

template <class Function>
class next_symbol {
public:
    constexpr explicit next_symbol(const char* name) : name_{name} {}

    /// @return null while this very thread is looking a symbol up, or if nobody has one
    Function* resolve()
    {
        auto* known = function_.load(std::memory_order_acquire);
        if (known != nullptr) [[likely]]
            return known;
        const errno_guard guard;
        const int self = raw::call(SYS_gettid);
        if (resolving_thread.load(std::memory_order_relaxed) == self)
            return nullptr;
        const int before = resolving_thread.exchange(self, std::memory_order_relaxed);
        known = reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name_));
        resolving_thread.store(before, std::memory_order_relaxed);
        function_.store(known, std::memory_order_release);
        return known;
    }

private:
    const char* name_;
    std::atomic<Function*> function_{nullptr};
};

constinit next_symbol<decltype(next::socket)> socket_symbol{"socket"};
constinit next_symbol<decltype(next::setsockopt)> setsockopt_symbol{"setsockopt"};
constinit next_symbol<decltype(next::getsockopt)> getsockopt_symbol{"getsockopt"};
constinit next_symbol<decltype(next::connect)> connect_symbol{"connect"};
constinit next_symbol<decltype(next::accept)> accept_symbol{"accept"};
constinit next_symbol<decltype(next::accept4)> accept4_symbol{"accept4"};
constinit next_symbol<decltype(next::epoll_ctl)> epoll_ctl_symbol{"epoll_ctl"};
constinit next_symbol<int(int, ioctl_request, ...)> ioctl_symbol{"ioctl"};

} // namespace

void resolve_all()
{
    socket_symbol.resolve();
    setsockopt_symbol.resolve();
    getsockopt_symbol.resolve();
    connect_symbol.resolve();
    accept_symbol.resolve();
    accept4_symbol.resolve();
    epoll_ctl_symbol.resolve();
    ioctl_symbol.resolve();
}

int socket(int family, int type, int protocol)
{
    if (auto* function = socket_symbol.resolve())
        return function(family, type, protocol);
    return raw::open_socket(family, type, protocol);
}

int setsockopt(int fd, int level, int name, const void* value, socklen_t length)
{
    if (auto* function = setsockopt_symbol.resolve())
        return function(fd, level, name, value, length);
    return raw::set_option(fd, level, name, value, length);
}

int getsockopt(int fd, int level, int name, void* value, socklen_t* length)
{
    if (auto* function = getsockopt_symbol.resolve())
        return function(fd, level, name, value, length);
    return raw::read_option(fd, level, name, value, length);
}

int connect(int fd, const sockaddr* address, socklen_t length)
{
    if (auto* function = connect_symbol.resolve())
        return function(fd, address, length);
    return raw::call(SYS_connect, fd, address, length);
}

int accept(int fd, sockaddr* address, socklen_t* length)
{
    if (auto* function = accept_symbol.resolve())
        return function(fd, address, length);
    return raw::call(SYS_accept4, fd, address, length, 0);
}

int accept4(int fd, sockaddr* address, socklen_t* length, int flags)
{
    if (auto* function = accept4_symbol.resolve())
        return function(fd, address, length, flags);
    return raw::call(SYS_accept4, fd, address, length, flags);
}

int epoll_ctl(int epoll, int operation, int fd, epoll_event* event)
{
    if (auto* function = epoll_ctl_symbol.resolve())
        return function(epoll, operation, fd, event);
    return raw::call(SYS_epoll_ctl, epoll, operation, fd, event);
}

int ioctl(int fd, ioctl_request request, void* argument)
{
    if (auto* function = ioctl_symbol.resolve())
        return function(fd, request, argument);
    return raw::call(SYS_ioctl, fd, request, argument);
}

} // namespace manypath::preload::next
