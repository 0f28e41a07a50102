// elf_image.hpp: what an executable file says about itself, as far as preloading cares.
//
// An own small reader of both classes and byte orders: libelf would cost more at start-up than the
// five fields we need.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace manypath::launcher {

/// Who can load what: a library fits a program only if the two are equal.
struct elf_abi {
    std::uint8_t elf_class = 0;  ///< ELFCLASS32 or ELFCLASS64
    std::uint8_t byte_order = 0; ///< ELFDATA2LSB or ELFDATA2MSB
    std::uint16_t machine = 0;   ///< EM_X86_64, ...
    bool operator==(const elf_abi&) const = default;
};

struct elf_image {
    elf_abi abi;
    std::string interpreter; ///< the dynamic loader it asks for; empty: none
    /// No loader runs, so nothing can be preloaded. False for the dynamic loader itself.
    bool is_static = false;
    /// Set for programs of Go's own compiler: "go1.22.1", or empty where the file does not say.
    std::optional<std::string> go_version;
};

/// @param file  a whole file; may hold anything
/// @return nothing unless it is an ELF executable or shared object with sound headers
[[nodiscard]] std::optional<elf_image> read_elf(std::span<const std::byte> file);

/// "32-bit Intel 80386", or "64-bit machine 258" where we know no name.
[[nodiscard]] std::string describe(const elf_abi& abi);

} // namespace manypath::launcher
