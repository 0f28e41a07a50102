// options.hpp: gives a program on an MPTCP socket the socket options it would have had on TCP.
//
// An option that MPTCP refuses and TCP takes is remembered, read back as TCP would show it, and
// given to the kernel as soon as the connection is seen to have become plain TCP. The kernel
// decides what that concerns, not its version: first it refuses, then a TCP socket is asked.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/socket.h>

#include "preload/reporter.hpp"
#include "preload/shadow_table.hpp"

namespace manypath::preload {

/// One per process. Async-signal-safe, and leaves errno alone unless said otherwise.
class option_keeper {
public:
    /// The table is not a member, because an object of zeros takes no room in the file.
    constexpr option_keeper(shadow_table& table, reporter& reporter)
        : table_{table}, reporter_{reporter}
    {
    }

    /// False while no option was ever remembered, so that a hook need not look further.
    [[nodiscard]] bool any() const { return table_.used(); }

    /// Gives the remembered options to the kernel if the connection fell back to TCP.
    void settle(int fd);
    /// Passes the options of a listener on to a connection it accepted.
    /// @param mptcp  whether the new socket speaks MPTCP; if not, it takes the options at once
    void inherit(int listener, int fd, bool mptcp);

    [[nodiscard]] bool remembers(int fd, int level, int name) const;
    /// The kernel took the option itself, so what is remembered is out of date.
    void forget(int fd, int level, int name);

    /// Whether `error` can mean "not on an MPTCP socket".
    static bool is_refusal_to_set(int error);
    static bool is_refusal_to_read(int error);

    /// Answers for an option that the MPTCP socket `fd` refused.
    /// @return as setsockopt(); errno is set on failure
    int set(int fd, int level, int name, const void* value, socklen_t length);
    /// @return as getsockopt(); errno is set on failure
    int read(int fd, int level, int name, void* value, socklen_t* length);

private:
    int remember(int fd, int level, int name, const void* value, socklen_t length);

    shadow_table& table_;
    reporter& reporter_;
};

} // namespace manypath::preload
