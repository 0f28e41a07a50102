// library.hpp: where libmanypath.so is.
//
// LD_PRELOAD gets the path with ld.so's $LIB in it where the installation follows that scheme, so
// that 32-bit and 64-bit children of one program each find the library that fits them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/launcher/elf_image.hpp"

#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace manypath::launcher {

struct library_location {
    std::string preload_path;  ///< for LD_PRELOAD; may contain $LIB
    std::vector<elf_abi> abis; ///< of the builds that the path leads to
};

/// Looks at `override_path` (MANYPATH_LIBRARY) if it is not empty; else into the build tree that
/// this program was started from; else where the library was installed to.
/// @return a sentence if there is none
[[nodiscard]] std::expected<library_location, std::string>
find_library(std::string_view override_path);

} // namespace manypath::launcher
