// program_file.hpp: which file `manypath run` starts, and what keeps a preload library out of it.
//
// The search through PATH is ours and not execvp(3)'s, because the file has to be looked at before
// it runs and because execvp() says neither what it found nor what was wrong with it.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/launcher/elf_image.hpp"

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace manypath::launcher {

/// Why a program cannot be started, with the exit status that shells use for it.
struct exec_refusal {
    int status = 0; ///< 127: not there; 126: there, but not to be executed
    std::string reason;
};

/// @param search_path  value of PATH; an empty part means the current directory
/// @return the file that `name` means; names with a slash are taken as they are
[[nodiscard]] std::expected<std::string, exec_refusal> find_program(std::string_view name,
                                                                    std::string_view search_path);

/// Says in words why execve(2) failed.
/// @param error  the errno it left
[[nodiscard]] exec_refusal explain_exec_failure(const std::string& path, int error);

/// The program named behind `#!`, if `path` is a script.
[[nodiscard]] std::optional<std::string> script_interpreter(const std::string& path);

/// What the caller knows about the library; a program that needs another ABI stays without it.
struct preload_context {
    std::vector<elf_abi> library_abis; ///< of each installed build of the library
    bool can_gain_privileges = true;   ///< false for root and under no_new_privs
};

/// @return one clause that says why the library will not be in `path`, and what to do instead;
///         nothing if it will
[[nodiscard]] std::optional<std::string> preload_obstacle(const std::string& path,
                                                          const preload_context& context);

/// @return nothing unless `path` is a readable ELF file
[[nodiscard]] std::optional<elf_image> read_elf_file(const std::string& path);

} // namespace manypath::launcher
