// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/journal.hpp"

#include "proxy/log/log.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <fstream>
#include <poll.h>
#include <ranges>
#include <sstream>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace manypath::keeper {

namespace {

// Debian 12's <sys/socket.h> lacks it; Linux 5.14.
constexpr int so_netns_cookie = 71;

constexpr std::string_view format_name = "manypath-undo-1";
constexpr std::string_view forget_word = "forget";

// How long a gateway that ends may take to undo its work before a start gives up.
constexpr int lock_attempts = 100;
constexpr int lock_interval_ms = 50;

/// One boot and one network namespace. Inode numbers are used again, cookies are not.
std::string network_identity()
{
    std::ifstream in{"/proc/sys/kernel/random/boot_id"};
    std::string identity;
    in >> identity;
    const unique_fd probe{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    std::uint64_t cookie = 0;
    socklen_t size = sizeof cookie;
    if (::getsockopt(probe.get(), SOL_SOCKET, so_netns_cookie, &cookie, &size) == 0)
        return identity + ":" + std::to_string(cookie);
    struct stat space{};
    if (::stat("/proc/self/ns/net", &space) == 0)
        identity += "/" + std::to_string(space.st_ino);
    return identity;
}

std::string read_whole(int fd)
{
    std::string text;
    std::array<char, 4096> buffer{};
    for (;;) {
        const ssize_t size =
            ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(text.size()));
        if (size <= 0)
            return text;
        text.append(buffer.data(), static_cast<std::size_t>(size));
    }
}

/// @return an errno, with the file as it was: a part of a line would spoil the next one
int append(int fd, const std::string& line)
{
    const off_t end = ::lseek(fd, 0, SEEK_END);
    const ssize_t size = ::write(fd, line.data(), line.size());
    if (size == static_cast<ssize_t>(line.size()))
        return 0;
    const int why = size < 0 ? errno : ENOSPC;
    (void)::ftruncate(fd, end);
    return why;
}

/// Undoing uses all rights of the keeper, so nobody else may have a say in what is undone; and a
/// file with a second name may be a precious one.
bool is_ours_alone(int fd)
{
    struct stat status{};
    return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_nlink == 1 &&
           status.st_uid == ::geteuid() && (status.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/// The one who ends removes the file while another waits for its lock.
bool is_still_there(int fd, const std::string& name)
{
    struct stat here{};
    struct stat there{};
    return ::fstat(fd, &here) == 0 && ::stat(name.c_str(), &there) == 0 &&
           here.st_ino == there.st_ino && here.st_dev == there.st_dev;
}

} // namespace

std::expected<journal, std::string> journal::open(const std::string& file)
{
    for (int attempt = 0; attempt < lock_attempts; ++attempt) {
        unique_fd fd{
            ::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)};
        if (!fd)
            return std::unexpected{file + ": " + std::generic_category().message(errno)};
        if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
            if (!is_still_there(fd.get(), file))
                continue;
            if (!is_ours_alone(fd.get()))
                return std::unexpected{file + ": is not a file that this user alone writes; "
                                              "remove it, and let nobody else write beside "
                                              "control.socket"};
            return journal{std::move(fd), file};
        }
        ::poll(nullptr, 0, lock_interval_ms);
    }
    return std::unexpected{file + ": another manypathd holds it; stop that one, or give this one "
                                  "another control.socket"};
}

std::vector<recorded_step> journal::pending() const
{
    std::vector<recorded_step> steps;
    std::istringstream lines{read_whole(file_.get())};
    std::string line;
    std::getline(lines, line); // the identity
    while (std::getline(lines, line)) {
        std::istringstream words{line};
        std::uint64_t number = 0;
        std::string rest;
        if (!(words >> number) || !std::getline(words >> std::ws, rest))
            continue;
        if (rest == forget_word)
            std::erase_if(steps, [=](const auto& s) { return s.number == number; });
        else if (auto parsed = parse_line(rest))
            steps.push_back({number, std::move(*parsed)});
    }
    return steps;
}

bool journal::is_of_this_network() const
{
    std::istringstream text{read_whole(file_.get())};
    std::string format;
    std::string identity;
    return (text >> format >> identity) && format == format_name && identity == network_identity();
}

void journal::undo_in_reverse(const std::vector<recorded_step>& steps)
{
    for (const auto& s : steps | std::views::reverse)
        if (const auto undone = undo(s.what); !undone)
            log::warning("cannot undo the {}: {}", describe(s.what), undone.error());
}

bool journal::undo_leftovers()
{
    const auto steps = pending();
    if (!steps.empty() && is_of_this_network()) {
        log::warning("{}: undoing the {} changes of a gateway that was killed", name_,
                     steps.size());
        undo_in_reverse(steps);
    } else if (!steps.empty()) {
        log::info("{}: of another boot or network namespace; thrown away", name_);
    }
    if (::ftruncate(file_.get(), 0) != 0)
        log::warning("{}: {}", name_, std::generic_category().message(errno));
    last_ = 0;
    return std::ranges::any_of(
        steps, [](const auto& s) { return std::holds_alternative<directory>(s.what); });
}

std::expected<std::uint64_t, std::string> journal::record(const step& s)
{
    std::string text;
    if (last_ == 0)
        text = std::string{format_name} + " " + network_identity() + "\n";
    text += std::to_string(last_ + 1) + " " + to_line(s) + "\n";
    if (const int why = append(file_.get(), text); why != 0)
        return std::unexpected{name_ + ": " + std::generic_category().message(why)};
    return ++last_;
}

void journal::forget(std::uint64_t number)
{
    // If this fails the step is undone once more at the end, which does nothing.
    const std::string line = std::to_string(number) + " " + std::string{forget_word} + "\n";
    if (const int why = append(file_.get(), line); why != 0)
        log::warning("{}: {}", name_, std::generic_category().message(why));
}

void journal::undo_all()
{
    // The directory can go only when the file in it is gone.
    std::vector<recorded_step> steps;
    std::vector<recorded_step> last;
    for (recorded_step& s : pending())
        (std::holds_alternative<directory>(s.what) ? last : steps).push_back(std::move(s));
    undo_in_reverse(steps);
    ::unlink(name_.c_str());
    undo_in_reverse(last);
}

} // namespace manypath::keeper
