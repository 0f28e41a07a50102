// SPDX-License-Identifier: Apache-2.0
#include "proxy/control/credentials.hpp"

#include <algorithm>
#include <cerrno>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace manypath::control {

namespace {

std::unexpected<std::error_code> last_error()
{
    return std::unexpected{std::error_code{errno, std::system_category()}};
}

} // namespace

std::expected<peer, std::error_code> peer_of(int socket)
{
    ucred credentials{};
    socklen_t size = sizeof credentials;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return last_error();
    peer who{.user = credentials.uid, .groups = {}};
    size = 0; // the kernel answers ERANGE with the size that it needs
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, &credentials.gid, &size) != 0 &&
        errno != ERANGE)
        return last_error();
    who.groups.resize(size / sizeof(gid_t));
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, who.groups.data(), &size) != 0)
        return last_error();
    who.groups.resize(size / sizeof(gid_t));
    who.groups.push_back(credentials.gid);
    return who;
}

std::optional<gid_t> group_of_socket(int socket)
{
    sockaddr_storage storage{};
    socklen_t size = sizeof storage;
    if (::getsockname(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0)
        return std::nullopt;
    const auto* address = reinterpret_cast<const sockaddr_un*>(&storage);
    struct stat file{};
    if (address->sun_family != AF_UNIX || address->sun_path[0] == '\0' ||
        ::stat(address->sun_path, &file) != 0)
        return std::nullopt;
    return file.st_gid;
}

bool may_ask(const peer& who, uid_t own_user, std::optional<gid_t> group)
{
    if (who.user == 0 || who.user == own_user)
        return true;
    return group && std::ranges::find(who.groups, *group) != who.groups.end();
}

} // namespace manypath::control
