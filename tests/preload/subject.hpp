// subject.hpp: sockets in every state, opened through the library or past it.
//
// `kernel::` makes the system calls themselves, so what it says was not touched by the library.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sys/socket.h>

#include "proxy/async/unique_fd.hpp"

namespace manypath::test {

namespace kernel {

int socket(int family, int type, int protocol);
int setsockopt(int fd, int level, int name, const void* value, socklen_t length);
int getsockopt(int fd, int level, int name, void* value, socklen_t* length);
/// @return the option's value, or minus errno
int option(int fd, int level, int name);
std::uint64_t cookie(int fd);

} // namespace kernel

/// A failed call of the test itself; throws std::system_error.
int checked(int result, const char* what);

/// Who opens the socket: a wrapped program, or one that is not wrapped.
enum class opener : std::uint8_t { wrapped, plain };

enum class state : std::uint8_t {
    unconnected,
    bound,
    listening,
    connected,   ///< to a peer of the same kind: MPTCP if wrapped
    fallen_back, ///< connected to a peer that knows TCP only
    accepted     ///< from a client of the same kind
};
inline constexpr state all_states[] = {state::unconnected, state::bound,       state::listening,
                                       state::connected,   state::fallen_back, state::accepted};
std::string name_of(state value);

struct subject {
    unique_fd fd;
    std::vector<unique_fd> others; ///< listener and peer
};

/// Connected sockets are reset when closed, so thousands of them leave no TIME-WAIT behind.
subject make_subject(opener by, state wanted, int family);

unique_fd open_stream(opener by, int family, int flags = 0);
/// @return a listener at a free port of the loopback address
unique_fd listen_on_loopback(opener by, int family);
/// @return the result of connect()
int connect_to(int fd, int listener);

} // namespace manypath::test
