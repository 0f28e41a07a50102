// attempt_plan.hpp: which address is tried when, and with which protocol.
//
// The decisions of Happy Eyeballs (RFC 8305) and of the way back from MPTCP to TCP, without
// sockets and without a clock, so that tests walk through them in virtual time.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/asio.hpp"
#include "proxy/transport/connection_info.hpp"

#include <chrono>
#include <optional>
#include <vector>

namespace manypath {

struct dial_timing {
    /// From one address to the next (RFC 8305, section 5).
    std::chrono::milliseconds attempt_delay{250};
    /// From an MPTCP attempt to a TCP attempt beside it: one SYN retransmission (1 s) and a
    /// little; sooner than the kernel's own blackhole detection, which is for all destinations.
    std::chrono::milliseconds mptcp_patience{1300};
};

struct candidate {
    endpoint to;
    protocol speak = protocol::tcp;
    bool operator==(const candidate&) const = default;
};

/// Alternates the address families, beginning with that of the first (RFC 8305, section 4).
[[nodiscard]] std::vector<asio::ip::address>
interleave_families(const std::vector<asio::ip::address>& preferred);

struct attempt {
    std::size_t number = 0; ///< names the attempt in on_failure() and mptcp_failed_beside()
    candidate what;
};

/// One dial. The caller starts what next() says, tells what failed, and stops at a success.
class attempt_plan {
public:
    using time_point = std::chrono::steady_clock::time_point;

    attempt_plan(std::vector<candidate> candidates, dial_timing timing)
        : candidates_(std::move(candidates)), timing_(timing), states_(candidates_.size())
    {
    }

    /// @return an attempt to start now; nothing if none is due
    [[nodiscard]] std::optional<attempt> next(time_point now);

    /// @return when next() has to be asked again, unless an attempt ends before
    [[nodiscard]] std::optional<time_point> due() const;

    /// @param why  protocol_not_supported: this host has no MPTCP, so no other attempt asks for it
    void on_failure(std::size_t number, error_code why);

    /// Whether nothing runs and nothing is left to try.
    [[nodiscard]] bool exhausted() const;

    /// Of the last attempt that failed.
    [[nodiscard]] error_code error() const noexcept { return error_; }

    /// @return whether `number` is a TCP attempt to an address where MPTCP got no answer so far
    [[nodiscard]] bool mptcp_failed_beside(std::size_t number) const;

private:
    struct state {
        std::optional<time_point> mptcp_since; ///< runs, and TCP was not started beside it
        bool tcp_due = false;
        bool mptcp_failed = false; ///< reset, or overtaken by TCP
    };
    struct started {
        std::size_t candidate;
        protocol speak;
    };

    attempt start(std::size_t candidate, protocol speak, time_point now);

    std::vector<candidate> candidates_;
    dial_timing timing_;
    std::vector<state> states_; ///< of the candidate with the same index
    std::vector<started> started_;
    std::size_t next_candidate_ = 0;
    std::size_t running_ = 0;
    time_point last_start_;
    bool host_has_mptcp_ = true;
    error_code error_;
};

} // namespace manypath
