// wire_error.hpp: why bytes are not a message.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <system_error>

namespace manypath {

enum class wire_error : std::uint8_t {
    truncated = 1, ///< right so far: the message goes on behind the last byte
    bad_version,
    bad_length,
    bad_type, ///< a kind of value that the protocol does not define
};

const std::error_category& wire_category() noexcept;
std::error_code make_error_code(wire_error e) noexcept; // found by argument-dependent lookup

} // namespace manypath

template <>
struct std::is_error_code_enum<manypath::wire_error> : std::true_type {};
