// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/claims.hpp"

#include "proxy/log/log.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace manypath::keeper {

namespace {

// Abstract names belong to a network namespace and vanish with the last descriptor: a lock that
// nobody can leave behind.
constexpr std::string_view claim_name{"\0manypath-network", 17};

constexpr int claim_attempts = 100;
constexpr int claim_interval_ms = 50;

struct unix_address {
    sockaddr_un value{};
    socklen_t size = 0;
    [[nodiscard]] const sockaddr* data() const { return reinterpret_cast<const sockaddr*>(&value); }
};

/// @param name  shorter than sun_path
unix_address address_of(std::string_view name)
{
    unix_address a;
    a.value.sun_family = AF_UNIX;
    std::ranges::copy(name, std::begin(a.value.sun_path));
    a.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    return a;
}

unique_fd open_socket()
{
    return unique_fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
}

std::string words_of(int number)
{
    return std::generic_category().message(number);
}

bool somebody_listens(const unix_address& at)
{
    const unique_fd socket = open_socket();
    return socket && (::connect(socket.get(), at.data(), at.size) == 0 || errno == EAGAIN);
}

/// Who has a name that somebody has bound.
struct claimant {
    pid_t process = 0; ///< 0: unknown
    bool is_stranger = false;
};

/// Every user can bind an abstract name, and must not keep the gateway from starting. A gateway
/// belongs to root or to our own user, and listens.
claimant claimant_of(const unix_address& at)
{
    const unique_fd socket = open_socket();
    if (!socket)
        return {};
    if (::connect(socket.get(), at.data(), at.size) != 0)
        return {.process = 0, .is_stranger = errno == ECONNREFUSED};
    ucred who{};
    socklen_t size = sizeof who;
    if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &who, &size) != 0)
        return {};
    return {.process = who.pid, .is_stranger = who.uid != 0 && who.uid != ::geteuid()};
}

} // namespace

std::expected<bool, std::string> make_directory_of(const std::string& path)
{
    const auto slash = path.rfind('/');
    if (slash == std::string::npos || slash == 0)
        return false;
    const std::string directory = path.substr(0, slash);
    if (::mkdir(directory.c_str(), 0755) == 0)
        return true;
    if (errno == EEXIST)
        return false;
    return std::unexpected{directory + ": " + words_of(errno)};
}

std::expected<unique_fd, std::string> open_control_socket(const std::string& path, gid_t group)
{
    if (path.size() >= sizeof(sockaddr_un::sun_path))
        return std::unexpected{path + ": too long for a socket's name"};
    const unix_address at = address_of(path);
    struct stat status{};
    if (::lstat(path.c_str(), &status) == 0) {
        if (!S_ISSOCK(status.st_mode))
            return std::unexpected{path + ": exists and is no socket"};
        if (somebody_listens(at))
            return std::unexpected{path + ": another program listens on it"};
        ::unlink(path.c_str());
    }
    unique_fd socket = open_socket();
    if (!socket)
        return std::unexpected{path + ": " + words_of(errno)};
    // Nobody may connect before mode and group are right.
    const mode_t before = ::umask(0777);
    const int bound = ::bind(socket.get(), at.data(), at.size);
    const int why = errno;
    ::umask(before);
    if (bound != 0)
        return std::unexpected{path + ": " + words_of(why)};
    if (group != static_cast<gid_t>(-1) &&
        ::chown(path.c_str(), static_cast<uid_t>(-1), group) != 0)
        return std::unexpected{path + ": " + words_of(errno)};
    if (::chmod(path.c_str(), 0660) != 0 || ::listen(socket.get(), SOMAXCONN) != 0)
        return std::unexpected{path + ": " + words_of(errno)};
    return socket;
}

std::expected<unique_fd, std::string> claim_network()
{
    const unix_address at = address_of(claim_name);
    unique_fd socket = open_socket();
    if (!socket)
        return std::unexpected{"no Unix socket: " + words_of(errno)};
    for (int attempt = 0; attempt < claim_attempts; ++attempt) {
        if (::bind(socket.get(), at.data(), at.size) == 0) {
            (void)::listen(socket.get(), SOMAXCONN); // so that others can ask who we are
            return socket;
        }
        if (errno != EADDRINUSE)
            return std::unexpected{"the network cannot be claimed: " + words_of(errno)};
        ::poll(nullptr, 0, claim_interval_ms);
    }
    const claimant who = claimant_of(at);
    if (who.is_stranger) {
        log::warning("process {}, which is no gateway, has taken the name by which gateways of a "
                     "network namespace know each other; going on without it",
                     who.process);
        return socket;
    }
    return std::unexpected{fmt::format(
        "another manypathd (process {}) manages paths or transparent listeners in this network "
        "namespace already; give it these too, or run this one in a namespace of its own",
        who.process)};
}

} // namespace manypath::keeper
