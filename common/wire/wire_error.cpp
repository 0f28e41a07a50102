// SPDX-License-Identifier: Apache-2.0
#include "common/wire/wire_error.hpp"

namespace manypath {

namespace {

class category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "wire"; }
    [[nodiscard]] std::string message(int value) const override
    {
        switch (static_cast<wire_error>(value)) {
        case wire_error::truncated:
            return "message is incomplete";
        case wire_error::bad_version:
            return "unknown protocol version";
        case wire_error::bad_length:
            return "impossible length";
        case wire_error::bad_type:
            return "unknown type of value";
        }
        return "unknown error";
    }
};

} // namespace

const std::error_category& wire_category() noexcept
{
    static const category instance;
    return instance;
}

std::error_code make_error_code(wire_error e) noexcept
{
    return {static_cast<int>(e), wire_category()};
}

} // namespace manypath
