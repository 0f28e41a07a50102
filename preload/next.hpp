// next.hpp: the functions that a hook stands in front of.
//
// Each call goes to the next library in line, so other preload libraries still see it. The
// constructor resolves all of them, because dlsym() is not async-signal-safe; a hook looks one up
// itself only when another library's constructor comes first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace manypath::preload::next {

template <class Request>
Request request_of(int (*)(int, Request, ...));
/// unsigned long with glibc, int with musl.
using ioctl_request = decltype(request_of(&::ioctl));

/// Looks all symbols up. Idempotent.
void resolve_all();

int socket(int family, int type, int protocol);
int setsockopt(int fd, int level, int name, const void* value, socklen_t length);
int getsockopt(int fd, int level, int name, void* value, socklen_t* length);
int connect(int fd, const sockaddr* address, socklen_t length);
int accept(int fd, sockaddr* address, socklen_t* length);
int accept4(int fd, sockaddr* address, socklen_t* length, int flags);
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event);
int ioctl(int fd, ioctl_request request, void* argument);

} // namespace manypath::preload::next
