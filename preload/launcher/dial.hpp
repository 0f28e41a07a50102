// dial.hpp: one MPTCP connection to a name, over whichever of its addresses answers first.
//
// Blocking for the caller and bounded by one deadline for names and connections together; the
// command has nothing else to do meanwhile.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/unique_fd.hpp"

#include <chrono>
#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <system_error>
#include <vector>

namespace manypath::launcher {

struct socket_address {
    sockaddr_storage storage{};
    socklen_t size = 0;

    [[nodiscard]] int family() const noexcept { return storage.ss_family; }
};

/// "198.18.1.1:80", "[2001:db8::1]:80".
[[nodiscard]] std::string to_text(const sockaddr_storage& address);

struct dial_target {
    std::string host; ///< name or address
    std::string port; ///< number or service name
    int family = AF_UNSPEC;
    std::chrono::milliseconds timeout{10'000};
};

struct dialed {
    unique_fd socket; ///< connected and blocking
    socket_address peer;
    /// Set if the kernel would not open an MPTCP socket, so that this one is TCP.
    std::optional<std::error_code> mptcp_refused;
};

/// The addresses of a name in the order in which they are tried: families alternate, the one that
/// the resolver prefers first (RFC 8305, section 4).
[[nodiscard]] std::expected<std::vector<socket_address>, std::string>
resolve(const dial_target& target);

/// @param addresses  not empty; a new attempt starts when the last failed or 250 ms after it
/// @return a sentence for the user if none answers in time
[[nodiscard]] std::expected<dialed, std::string> dial(const dial_target& target,
                                                      const std::vector<socket_address>& addresses);

} // namespace manypath::launcher
