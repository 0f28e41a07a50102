// frame.hpp: one datagram between keeper and worker, with its descriptors.
//
// Apart from the channel, which knows what the frames mean.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/unique_fd.hpp"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <expected>
#include <optional>
#include <span>
#include <system_error>
#include <type_traits>
#include <vector>

namespace manypath::keeper {

/// A frame is smaller than the smallest default send buffer, and the kernel passes at most 253
/// descriptors at once (SCM_MAX_FD).
inline constexpr std::size_t frame_bytes = 32768;
inline constexpr std::size_t frame_descriptors = 128;

struct frame {
    std::vector<std::byte> bytes; ///< never empty
    std::vector<unique_fd> descriptors;
    bool lost_descriptors = false; ///< some found no room in this process
};

/// @param descriptors  at most frame_descriptors; duplicates travel, these stay open
[[nodiscard]] std::error_code send_frame(int socket, std::span<const std::byte> bytes,
                                         std::span<const int> descriptors);

/// @return not_connected at the end of the stream
[[nodiscard]] std::expected<frame, std::error_code> receive_frame(int socket);

/// Values side by side, in the order of the machine: both ends are the same program.
template <typename Value>
void put(std::vector<std::byte>& out, const Value& value)
{
    static_assert(std::is_trivially_copyable_v<Value>);
    const auto bytes = std::as_bytes(std::span{&value, 1});
    out.insert(out.end(), bytes.begin(), bytes.end());
}

/// Removes a value from the front; nothing where too few bytes are left.
template <typename Value>
[[nodiscard]] std::optional<Value> take(std::span<const std::byte>& in)
{
    static_assert(std::is_trivially_copyable_v<Value>);
    if (in.size() < sizeof(Value))
        return std::nullopt;
    Value value;
    std::memcpy(&value, in.data(), sizeof value);
    in = in.subspan(sizeof value);
    return value;
}

} // namespace manypath::keeper
