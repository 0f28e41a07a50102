// settings.cpp: reads the MANYPATH variables.
//
// SPDX-License-Identifier: Apache-2.0
#include "preload/settings.hpp"

#include <cstdlib>

#include <sys/auxv.h>

#include "preload/report.hpp"

namespace manypath::preload {

namespace {

bool is_zero(const char* text)
{
    return text[0] == '0' && text[1] == '\0';
}

} // namespace

settings read_settings()
{
    settings result;
    if (getauxval(AT_SECURE) != 0)
        return result;
    if (const char* value = getenv("MANYPATH"))
        result.enabled = !is_zero(value);
    if (const char* value = getenv("MANYPATH_DEBUG"))
        result.debug = value[0] != '\0' && !is_zero(value);
    if (const char* value = getenv(report::environment_name))
        result.report_path = value[0] != '\0' ? value : nullptr;
    return result;
}

} // namespace manypath::preload
