// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/frame.hpp"

#include <array>
#include <cerrno>
#include <sys/socket.h>

namespace manypath::keeper {

namespace {

using control_buffer = std::array<std::byte, CMSG_SPACE(frame_descriptors * sizeof(int))>;

std::error_code system_error(int number)
{
    return {number, std::generic_category()};
}

/// Takes every descriptor into ownership first, so that none leaks when the frame is refused.
std::vector<unique_fd> descriptors_of(msghdr& message)
{
    std::vector<unique_fd> result;
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        const std::size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < count; ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            result.emplace_back(fd);
        }
    }
    return result;
}

} // namespace

std::error_code send_frame(int socket, std::span<const std::byte> bytes,
                           std::span<const int> descriptors)
{
    iovec data{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    alignas(cmsghdr) control_buffer control{};
    if (!descriptors.empty()) {
        message.msg_control = control.data();
        message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
        cmsghdr* c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(descriptors.size_bytes());
        std::memcpy(CMSG_DATA(c), descriptors.data(), descriptors.size_bytes());
    }
    while (::sendmsg(socket, &message, MSG_NOSIGNAL) < 0) {
        if (errno == EINTR)
            continue;
        return system_error(errno == EPIPE || errno == ECONNRESET ? ENOTCONN : errno);
    }
    return {};
}

std::expected<frame, std::error_code> receive_frame(int socket)
{
    frame result;
    result.bytes.resize(frame_bytes);
    iovec data{.iov_base = result.bytes.data(), .iov_len = result.bytes.size()};
    alignas(cmsghdr) control_buffer control{};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    ssize_t size = -1;
    do {
        size = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    } while (size < 0 && errno == EINTR);
    if (size < 0)
        return std::unexpected{system_error(errno == ECONNRESET ? ENOTCONN : errno)};
    result.descriptors = descriptors_of(message);
    if (size == 0)
        return std::unexpected{system_error(ENOTCONN)};
    result.lost_descriptors = (message.msg_flags & MSG_CTRUNC) != 0;
    if ((message.msg_flags & MSG_TRUNC) != 0)
        return std::unexpected{system_error(EBADMSG)};
    result.bytes.resize(static_cast<std::size_t>(size));
    return result;
}

} // namespace manypath::keeper
