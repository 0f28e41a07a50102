// bytes.hpp: numbers to and from bytes in network order.
//
// Neither side fails in the middle: a reader past its end reads zero, a writer past its end
// writes nothing, and one question at the end tells. Parsers stay straight that way.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

namespace manypath {

using byte_view = std::span<const std::byte>;
using byte_span = std::span<std::byte>;

class reader {
public:
    explicit reader(byte_view in) noexcept : rest_(in) {}

    /// Big-endian; zero if fewer bytes are left, and from then on.
    template <std::unsigned_integral Number>
    [[nodiscard]] Number read() noexcept
    {
        std::uint64_t value = 0;
        for (const std::byte b : take(sizeof(Number)))
            value = value << 8U | std::to_integer<std::uint64_t>(b);
        return static_cast<Number>(value);
    }

    /// The next `size` bytes of the input; empty if fewer are left.
    [[nodiscard]] byte_view take(std::size_t size) noexcept
    {
        if (missed_ || size > rest_.size()) {
            missed_ = true;
            return {};
        }
        const byte_view taken = rest_.first(size);
        rest_ = rest_.subspan(size);
        return taken;
    }

    [[nodiscard]] byte_view rest() const noexcept { return rest_; }

    /// Whether every read so far was inside the input.
    [[nodiscard]] bool ok() const noexcept { return !missed_; }

    /// Whether the reads so far took the input exactly.
    [[nodiscard]] bool done() const noexcept { return !missed_ && rest_.empty(); }

private:
    byte_view rest_;
    bool missed_ = false;
};

class writer {
public:
    explicit writer(byte_span out) noexcept : out_(out) {}

    /// Big-endian.
    template <std::unsigned_integral Number>
    void write(Number value) noexcept
    {
        const byte_span place = reserve(sizeof(Number));
        std::uint64_t left = value;
        for (std::size_t i = place.size(); i-- > 0; left >>= 8U)
            place[i] = static_cast<std::byte>(left & 0xffU);
    }

    void write_bytes(byte_view bytes) noexcept
    {
        const byte_span place = reserve(bytes.size());
        std::copy_n(bytes.begin(), place.size(), place.begin());
    }

    /// Bytes written so far.
    [[nodiscard]] std::size_t size() const noexcept { return used_; }

    /// Whether everything written so far found room.
    [[nodiscard]] bool ok() const noexcept { return !missed_; }

private:
    byte_span reserve(std::size_t size) noexcept
    {
        if (missed_ || size > out_.size() - used_) {
            missed_ = true;
            return {};
        }
        const byte_span place = out_.subspan(used_, size);
        used_ += size;
        return place;
    }

    byte_span out_;
    std::size_t used_ = 0;
    bool missed_ = false;
};

} // namespace manypath
