// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/notify.hpp"

#include "proxy/async/unique_fd.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>

namespace manypath::keeper {

void notify(std::string_view assignments)
{
    const char* name = std::getenv("NOTIFY_SOCKET");
    if (name == nullptr)
        return;
    const std::string_view path{name};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return;
    std::ranges::copy(path, std::begin(address.sun_path));
    if (path.front() == '@')
        address.sun_path[0] = '\0'; // the abstract namespace
    const unique_fd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    // Whoever started us may have lost interest; that is no reason to stop serving.
    (void)::sendto(socket.get(), assignments.data(), assignments.size(), MSG_NOSIGNAL,
                   reinterpret_cast<const sockaddr*>(&address), size);
}

void notify_reloading()
{
    timespec now{};
    static_cast<void>(::clock_gettime(CLOCK_MONOTONIC, &now));
    const std::int64_t microseconds =
        std::int64_t{now.tv_sec} * 1'000'000 + std::int64_t{now.tv_nsec} / 1000;
    notify("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds));
}

} // namespace manypath::keeper
