// promises.hpp: options whose success a program relies on, so that pretending would do harm.
//
// Most refused options tune something: answering "done" and doing it after a fallback is what the
// program wants. These are different: believing kTLS is on sends plain text, believing in zero-copy
// waits for completions that never come, believing in a filter or an MD5 key admits strangers. For
// these the program is told no, in the words TCP itself uses where the feature is missing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

namespace manypath::preload {

/// @param value  readable as far as the kernel reads it, which of an int is its four bytes
/// @return the errno to answer with; 0 where the option may be remembered instead
[[nodiscard]] int refusal_for(int level, int name, const void* value, socklen_t length);

} // namespace manypath::preload
