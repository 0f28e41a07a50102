// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/connect.hpp"

#include "preload/launcher/say.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <poll.h>
#include <span>
#include <thread>
#include <unistd.h>
#include <vector>

namespace manypath::launcher {

namespace {

constexpr std::size_t buffer_bytes = 262'144;

std::error_code last_error()
{
    return {errno, std::generic_category()};
}

std::error_code write_whole(int fd, std::span<const std::byte> bytes)
{
    while (!bytes.empty()) {
        const ssize_t size = ::write(fd, bytes.data(), bytes.size());
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0)
            return last_error();
        bytes = bytes.subspan(static_cast<std::size_t>(size));
    }
    return {};
}

/// Waits until `fd` can be read.
/// @param socket  gives up when this one is closed in both directions or broken
/// @return false after giving up
bool wait_readable(int fd, int socket)
{
    std::array<pollfd, 2> waiting{{{fd, POLLIN, 0}, {socket, 0, 0}}};
    for (;;) {
        if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR)
            return false;
        if (waiting[0].revents != 0)
            return true;
        if (waiting[1].revents != 0)
            return false;
    }
}

/// Copies until the end of `from`.
std::error_code pump(int from, int to, int socket)
{
    std::vector<std::byte> buffer(buffer_bytes);
    for (;;) {
        if (!wait_readable(from, socket))
            return {};
        const ssize_t size = ::read(from, buffer.data(), buffer.size());
        if (size == 0)
            return {};
        if (size < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (size < 0)
            return last_error();
        if (auto error = write_whole(to, std::span{buffer}.first(static_cast<std::size_t>(size))))
            return error;
    }
}

int fail(const dial_target& target, const std::string& reason)
{
    say("cannot connect to " + target.host + " port " + target.port + ": " + reason);
    return 1;
}

} // namespace

std::error_code relay_descriptors(int in, int out, int socket)
{
    // Two threads with blocking calls: standard input and output may be shared with other
    // processes, and O_NONBLOCK on them would be set for those as well.
    std::error_code upward;
    std::thread sender{[&] {
        upward = pump(in, socket, socket);
        ::shutdown(socket, SHUT_WR);
    }};
    const std::error_code downward = pump(socket, out, socket);
    ::close(out);
    if (downward)
        ::shutdown(socket, SHUT_RDWR); // nobody is left to read: ends the sender as well
    sender.join();
    return downward ? downward : upward;
}

std::error_code pass_descriptor(int unix_socket, int fd)
{
    char byte = '\0';
    iovec payload{&byte, 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof fd)> control{};
    msghdr message{};
    message.msg_iov = &payload;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    ssize_t sent = 0;
    do
        sent = ::sendmsg(unix_socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == 1 ? std::error_code{} : last_error();
}

int connect(const connect_options& options)
{
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    ::sigaction(SIGPIPE, &ignore, nullptr);
    const auto addresses = resolve(options.target);
    if (!addresses)
        return fail(options.target, addresses.error());
    const auto connection = dial(options.target, *addresses);
    if (!connection)
        return fail(options.target, connection.error());
    if (options.pass_descriptor) {
        const auto error = pass_descriptor(STDOUT_FILENO, connection->socket.get());
        if (error)
            say("cannot pass the descriptor over standard output, which has to be the socket of "
                "ssh's ProxyUseFdpass: " +
                error.message());
        return error ? 1 : 0;
    }
    const auto error = relay_descriptors(STDIN_FILENO, STDOUT_FILENO, connection->socket.get());
    if (error)
        say("the connection to " + to_text(connection->peer.storage) +
            " broke: " + error.message());
    return error ? 1 : 0;
}

} // namespace manypath::launcher
