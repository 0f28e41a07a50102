// SPDX-License-Identifier: Apache-2.0
#include "proxy/modes/mode_error.hpp"

namespace manypath {

namespace {

class category final : public std::error_category {
public:
    [[nodiscard]] const char* name() const noexcept override { return "mode"; }
    [[nodiscard]] std::string message(int value) const override
    {
        switch (static_cast<mode_error>(value)) {
        case mode_error::bad_request:
            return "malformed request";
        case mode_error::request_too_long:
            return "request too long";
        case mode_error::not_connect:
            return "command other than CONNECT";
        case mode_error::no_common_method:
            return "no common authentication method";
        case mode_error::own_address:
            return "destination is this gateway itself";
        }
        return "unknown error";
    }
};

} // namespace

const std::error_category& mode_category() noexcept
{
    static const category instance;
    return instance;
}

std::error_code make_error_code(mode_error e) noexcept
{
    return {static_cast<int>(e), mode_category()};
}

} // namespace manypath
