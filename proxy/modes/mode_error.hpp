// mode_error.hpp: why a client's request was not served.
//
// Of the standard's error codes, which Boost's take in.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <system_error>

namespace manypath {

enum class mode_error : std::uint8_t {
    bad_request = 1,  ///< not the protocol of this listener, or against its rules
    request_too_long, ///< more than any honest client needs
    not_connect,      ///< a command other than CONNECT
    no_common_method, ///< the client insists on authentication
    own_address,      ///< the destination is a listener of this gateway
};

const std::error_category& mode_category() noexcept;
std::error_code make_error_code(mode_error e) noexcept; // found by argument-dependent lookup

} // namespace manypath

template <>
struct std::is_error_code_enum<manypath::mode_error> : std::true_type {};
