// tcp_twin.hpp: a plain TCP socket in the state of an MPTCP socket, to see what TCP would answer.
//
// Probing beats a list of options: kernels differ, and a wrong value gets TCP's own errno. TCP also
// answers by state, so the twin is bound, listens, or is connected (to itself, over loopback, which
// takes one socket and no time) when the other is. It lives for one call.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "preload/shadow_table.hpp"

namespace manypath::preload {

class tcp_twin {
public:
    /// @param fd          the MPTCP socket
    /// @param remembered  options set on it so far, which the twin gets as well
    tcp_twin(int fd, const shadow_table::option_list& remembered);
    ~tcp_twin();
    tcp_twin(const tcp_twin&) = delete;
    tcp_twin& operator=(const tcp_twin&) = delete;

    /// False when descriptors or memory ran out; then there is nobody to ask.
    [[nodiscard]] bool exists() const { return fd_ >= 0; }
    [[nodiscard]] int fd() const { return fd_; }

private:
    void take_state_of(int fd, int family) const;

    int fd_ = -1;
};

} // namespace manypath::preload
