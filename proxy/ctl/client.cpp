// SPDX-License-Identifier: Apache-2.0
#include "proxy/ctl/client.hpp"

#include "proxy/async/unique_fd.hpp"

#include <array>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <cerrno>
#include <cstring>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <system_error>

namespace manypath::ctl {

namespace {

namespace json = boost::json;

template <typename T>
using answer = std::expected<T, std::string>;

std::string reason(int error)
{
    return std::system_category().message(error);
}

std::string group_of(const std::string& path)
{
    struct stat file{};
    if (::stat(path.c_str(), &file) != 0)
        return {};
    const group* entry = ::getgrgid(file.st_gid);
    return entry == nullptr ? std::string{} : std::string{entry->gr_name};
}

std::string explain_connect(const std::string& path, int error)
{
    if (error == ENOENT)
        return "there is no control socket " + path +
               ": the daemon is not running, or its configuration names another socket\n"
               "start it with `systemctl start manypathd`, or name the socket with --socket";
    if (error == ECONNREFUSED)
        return "nobody listens on " + path +
               ": the daemon is not running\nstart it with `systemctl start manypathd`";
    if (error == EACCES || error == EPERM) {
        const auto name = group_of(path);
        return "permission denied on " + path + "\nrun manypathctl as root" +
               (name.empty() ? "" : ", or as a member of the group " + name);
    }
    return "cannot connect to " + path + ": " + reason(error);
}

answer<unique_fd> connect(const std::string& path, std::chrono::seconds patience)
{
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        return std::unexpected{"the path of the control socket has no or too many bytes: " + path};
    path.copy(address.sun_path, path.size());
    unique_fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (!socket)
        return std::unexpected{"cannot open a socket: " + reason(errno)};
    const timeval limit{.tv_sec = patience.count(), .tv_usec = 0};
    ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        return std::unexpected{explain_connect(path, errno)};
    return socket;
}

/// @return the reply without its newline
answer<std::string> reply_to(const unique_fd& socket, const std::string& request)
{
    std::string reply;
    std::array<char, 65536> buffer;
    // A server that refuses to read may have said why already, so a failed send still reads.
    ::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL);
    while (!reply.ends_with('\n')) {
        const auto size = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return std::unexpected{"the daemon does not answer; see its log"};
        if (size < 0)
            return std::unexpected{"the answer cannot be read: " + reason(errno)};
        if (size == 0)
            return std::unexpected{"the daemon closed the connection before its answer was "
                                   "complete; see its log"};
        reply.append(buffer.data(), static_cast<std::size_t>(size));
    }
    reply.pop_back();
    return reply;
}

} // namespace

answer<json::value> ask(const std::string& socket_path, const std::string& command,
                        std::chrono::seconds patience)
{
    const auto socket = connect(socket_path, patience);
    if (!socket)
        return std::unexpected{socket.error()};
    json::object request;
    request["command"] = command;
    const auto reply = reply_to(*socket, json::serialize(request) + '\n');
    if (!reply)
        return std::unexpected{reply.error()};
    boost::system::error_code ec;
    const auto parsed = json::parse(*reply, ec);
    const auto* object = ec ? nullptr : parsed.if_object();
    if (object != nullptr)
        if (const auto* result = object->if_contains("result"))
            return *result;
    const auto* error = object == nullptr ? nullptr : object->if_contains("error");
    if (error != nullptr && error->is_string())
        return std::unexpected{std::string{error->as_string()}};
    return std::unexpected{"the answer is no manypathd's; is " + socket_path +
                           " its control socket?"};
}

} // namespace manypath::ctl
