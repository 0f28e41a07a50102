// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/library.hpp"

#include "preload/launcher/installed_library.hpp"
#include "preload/launcher/program_file.hpp"

#include <filesystem>
#include <glob.h>
#include <optional>

namespace manypath::launcher {

namespace {

constexpr std::string_view lib_token = "$LIB";

/// The ABIs of all files that a shell pattern matches.
void add_abis(const std::string& pattern, std::vector<elf_abi>& to)
{
    glob_t found{};
    if (::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found) == 0) {
        for (std::size_t i = 0; i < found.gl_pathc; ++i) {
            if (const auto image = read_elf_file(found.gl_pathv[i]))
                to.push_back(image->abi);
        }
    }
    ::globfree(&found);
}

std::vector<elf_abi> abis_behind(const std::string& preload_path)
{
    std::vector<elf_abi> abis;
    const std::size_t token = preload_path.find(lib_token);
    if (token == std::string::npos) {
        if (const auto image = read_elf_file(preload_path))
            abis.push_back(image->abi);
        return abis;
    }
    // $LIB is lib64 and lib with some distributions, lib/x86_64-linux-gnu and the like with Debian.
    for (const char* folder : {"lib*", "lib/*-linux-*"}) {
        std::string pattern = preload_path;
        add_abis(pattern.replace(token, lib_token.size(), folder), abis);
    }
    return abis;
}

std::optional<library_location> look_at(const std::string& preload_path)
{
    library_location location{preload_path, abis_behind(preload_path)};
    if (location.abis.empty())
        return {};
    return location;
}

std::string beside_this_program()
{
    std::error_code error;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
    if (error)
        return {};
    return (self.parent_path().parent_path() / "lib" / "libmanypath.so").string();
}

} // namespace

std::expected<library_location, std::string> find_library(std::string_view override_path)
{
    std::optional<library_location> found;
    std::string looked_at{override_path};
    if (!looked_at.empty()) {
        // The program may change its working directory before it starts others.
        looked_at = std::filesystem::absolute(looked_at).string();
        found = look_at(looked_at);
    } else {
        looked_at = installed_library;
        found = look_at(beside_this_program());
        if (!found)
            found = look_at(looked_at);
    }
    if (!found)
        return std::unexpected{"libmanypath.so is not where it should be: " + looked_at};
    // ld.so splits LD_PRELOAD at both, and knows no quoting.
    if (found->preload_path.find_first_of(": ") != std::string::npos)
        return std::unexpected{"LD_PRELOAD cannot express a path with a space or colon in it: " +
                               found->preload_path};
    return *std::move(found);
}

} // namespace manypath::launcher
