// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/program_file.hpp"

#include "proxy/async/unique_fd.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <system_error>
#include <unistd.h>

namespace manypath::launcher {

namespace {

constexpr int not_found = 127;
constexpr int not_executable = 126;

/// As many bytes of a `#!` line as the kernel reads.
constexpr std::size_t script_line_bytes = 256;

/// A FIFO or a terminal line must not make us wait for its other end.
constexpr int open_for_a_look = O_RDONLY | O_CLOEXEC | O_NONBLOCK;

constexpr std::string_view way_out = "send its connections through manypathd instead";

std::string in_words(int error)
{
    return std::generic_category().message(error);
}

bool is_directory(const std::string& path)
{
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

/// A file that exec would try; directories are skipped as the shells do.
bool is_candidate(const std::string& path)
{
    struct stat status{};
    return ::stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode);
}

/// Whether executing the file changes the identity, which makes the loader ignore LD_PRELOAD.
bool changes_identity(const std::string& path)
{
    struct stat status{};
    struct statvfs mount{};
    if (::stat(path.c_str(), &status) != 0)
        return false;
    if (::statvfs(path.c_str(), &mount) == 0 && (mount.f_flag & ST_NOSUID) != 0)
        return false;
    const bool group = (status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP);
    return ((status.st_mode & S_ISUID) != 0 && status.st_uid != ::getuid()) ||
           (group && status.st_gid != ::getgid());
}

bool has_file_capabilities(const std::string& path)
{
    return ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

/// Whether this Go's package net obeys GODEBUG=multipathtcp=1: 1.21 and later, as far as we know.
bool go_speaks_mptcp(std::string_view version)
{
    constexpr std::string_view prefix = "go1.";
    constexpr int first_minor = 21;
    if (!version.starts_with(prefix))
        return true;
    int minor = 0;
    std::from_chars(version.data() + prefix.size(), version.data() + version.size(), minor);
    return minor >= first_minor;
}

std::string go_clause(const std::string& version)
{
    const std::string what = "it is a Go program (" +
                             (version.empty() ? "of an unknown version" : version) +
                             "), which does not call the C library; ";
    if (!go_speaks_mptcp(version))
        return what + "build it with Go 1.21 or later, or " + std::string{way_out};
    return what + "it was told by GODEBUG=multipathtcp=1 to use MPTCP itself; if it does not, " +
           std::string{way_out};
}

/// "/lib/ld-musl-x86_64.so.1": its loader neither knows $LIB nor has glibc's symbol versions.
bool has_foreign_loader(const elf_image& image)
{
    return image.interpreter.find("/ld-musl-") != std::string::npos;
}

std::optional<std::string> elf_obstacle(const elf_image& image, const preload_context& context)
{
    if (image.go_version)
        return go_clause(*image.go_version);
    if (image.is_static)
        return "it is statically linked; " + std::string{way_out};
    if (has_foreign_loader(image))
        return "it uses another C library (" + image.interpreter + "); " + std::string{way_out};
    if (std::ranges::find(context.library_abis, image.abi) == context.library_abis.end())
        return "it is " + describe(image.abi) +
               " and libmanypath.so is not installed for that; install it or " +
               std::string{way_out};
    return {};
}

} // namespace

std::expected<std::string, exec_refusal> find_program(std::string_view name,
                                                      std::string_view search_path)
{
    std::string plain{name};
    if (plain.empty())
        return std::unexpected{exec_refusal{not_found, "the name of the program is empty"}};
    if (name.contains('/'))
        return plain;
    std::string barred;
    for (;;) {
        const std::size_t end = std::min(search_path.find(':'), search_path.size());
        const std::string_view folder = search_path.substr(0, end);
        std::string path = std::string{folder.empty() ? "." : folder} + "/" + plain;
        if (is_candidate(path) && ::access(path.c_str(), X_OK) == 0)
            return path;
        if (barred.empty() && is_candidate(path))
            barred = path;
        if (end == search_path.size())
            break;
        search_path.remove_prefix(end + 1);
    }
    if (!barred.empty())
        return std::unexpected{exec_refusal{not_executable, barred + " is not executable"}};
    return std::unexpected{exec_refusal{not_found, "not found in PATH"}};
}

exec_refusal explain_exec_failure(const std::string& path, int error)
{
    if (is_directory(path))
        return {not_executable, "it is a directory"};
    const bool exists = ::access(path.c_str(), F_OK) == 0;
    const auto script = script_interpreter(path);
    if (error == ENOENT && !exists)
        return {not_found, "no such file"};
    if (script && (error == ENOENT || error == EACCES || error == ENOTDIR) &&
        ::access(script->c_str(), X_OK) != 0)
        return {not_executable, "its interpreter " + *script + ": " + in_words(errno)};
    if (error == ENOENT) {
        const auto image = read_elf_file(path);
        const std::string loader = image ? image->interpreter : "";
        return {not_executable, "its loader " + loader + " does not exist"};
    }
    if (error == ENOEXEC)
        return {not_executable, "no format that this system executes: neither an ELF program for "
                                "this machine nor a script that begins with #!"};
    if (error == EACCES && exists && ::access(path.c_str(), X_OK) != 0)
        return {not_executable, "it is not executable"};
    if (error == EACCES && exists)
        return {not_executable, "executing it is forbidden: " + in_words(error)};
    return {error == ENOTDIR ? not_found : not_executable, in_words(error)};
}

std::optional<std::string> script_interpreter(const std::string& path)
{
    const unique_fd file{::open(path.c_str(), open_for_a_look)};
    std::string line(script_line_bytes, '\0');
    const ssize_t size = file ? ::read(file.get(), line.data(), line.size()) : 0;
    line.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
    if (!line.starts_with("#!"))
        return {};
    line.resize(std::min(line.find('\n'), line.size()));
    const std::size_t begin = line.find_first_not_of(" \t", 2);
    if (begin == std::string::npos)
        return {};
    return line.substr(begin, line.find_first_of(" \t", begin) - begin);
}

std::optional<elf_image> read_elf_file(const std::string& path)
{
    const unique_fd file{::open(path.c_str(), open_for_a_look)};
    struct stat status{};
    if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode) ||
        status.st_size <= 0)
        return {};
    const auto size = static_cast<std::size_t>(status.st_size);
    // Mapped, because a program may have hundreds of megabytes and we read three pages of them.
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (memory == MAP_FAILED)
        return {};
    auto image = read_elf({static_cast<const std::byte*>(memory), size});
    ::munmap(memory, size);
    return image;
}

std::optional<std::string> preload_obstacle(const std::string& path, const preload_context& context)
{
    const std::string program = script_interpreter(path).value_or(path);
    if (const auto image = read_elf_file(program)) {
        if (auto obstacle = elf_obstacle(*image, context))
            return obstacle;
    }
    // The kernel ignores these bits on a script, but not on its interpreter.
    if (context.can_gain_privileges && changes_identity(program))
        return "it is setuid or setgid, and the loader ignores LD_PRELOAD there; " +
               std::string{way_out};
    if (context.can_gain_privileges && has_file_capabilities(program))
        return "it has file capabilities, and the loader ignores LD_PRELOAD there; " +
               std::string{way_out};
    return {};
}

} // namespace manypath::launcher
