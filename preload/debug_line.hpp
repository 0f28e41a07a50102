// debug_line.hpp: one line on standard error, put together without stdio or allocation.
//
// A daemon closes descriptor 2 and its next connection may get that number, so nothing is written
// once descriptor 2 is another file than it was at the start.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>

namespace manypath::preload {

/// Switches the lines on and remembers which file standard error is.
void start_debugging();
[[nodiscard]] bool debugging();

/// Text beyond the buffer is cut off. Leaves errno alone.
class debug_line {
public:
    /// Begins with "libmanypath[PID]: ".
    debug_line();

    debug_line& text(const char* words);
    debug_line& number(long value);
    /// The usual name of an error, else its number.
    debug_line& error(int value);
    /// Ends the line and writes it with one write(2).
    void send();

private:
    void put(char letter);

    std::array<char, 200> buffer_;
    std::size_t size_ = 0;
};

} // namespace manypath::preload
