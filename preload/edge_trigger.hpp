// edge_trigger.hpp: keeps programs going that trust FIONREAD together with edge-triggered epoll.
//
// With TCP, bytes that FIONREAD did not count raise a new edge, so nginx stops reading when it has
// read that many. With MPTCP, bytes wait in a subflow while the socket's buffer is full, are not
// counted, and come up during a later read without an edge: the program waits for ever. Told "more
// than you can read", it reads until EAGAIN, which is always right for an edge-triggered program.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <cstdint>

namespace manypath::preload {

/// One per process. Async-signal-safe, leaves errno alone.
class edge_trigger_watch {
public:
    /// `fd` was registered with epoll for `events`.
    void registered(int fd, std::uint32_t events);

    /// @param counted  FIONREAD's answer for `fd`
    /// @return what to tell the program: INT_MAX for "more than counted", where some bytes are
    ///         there, the socket is MPTCP and does not block, and the process uses edges
    [[nodiscard]] int readable(int fd, int counted) const;

private:
    /// Of the process, not of the socket: one flag needs no table, and programs do not mix.
    std::atomic<bool> used_{false};
};

} // namespace manypath::preload
