// table.hpp: aligned columns of text, and numbers as people read them.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace manypath::ctl {

enum class align : std::uint8_t { left, right };

struct column {
    std::string heading;
    align where = align::left;
};

class table {
public:
    explicit table(std::vector<column> columns) : columns_(std::move(columns)) {}

    /// @param cells  one for each column; control characters are shown as `?`
    void add(std::vector<std::string> cells);

    /// One line for the headings and one for each row; two spaces between columns, none at the end
    /// of a line.
    [[nodiscard]] std::string text() const;

private:
    [[nodiscard]] std::string line(const std::vector<std::string>& cells,
                                   const std::vector<std::size_t>& widths) const;

    std::vector<column> columns_;
    std::vector<std::vector<std::string>> rows_;
};

/// "0 B", "1023 B", "1.0 KiB", "5.2 GiB"
[[nodiscard]] std::string as_bytes(std::uint64_t bytes);

/// The two largest units: "0s", "59s", "3m 05s", "2h 00m", "1d 02h"
[[nodiscard]] std::string as_duration(std::chrono::seconds duration);

} // namespace manypath::ctl
