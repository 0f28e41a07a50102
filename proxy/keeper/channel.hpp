// channel.hpp: what keeper and worker say to each other, over one socket pair.
//
// The worker gets the text of the configuration, not its values: both sides run the same parser,
// so no second format of the schema exists.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proxy/async/unique_fd.hpp"

#include <cstdint>
#include <expected>
#include <string>
#include <system_error>
#include <utility>
#include <variant>
#include <vector>

namespace manypath::keeper {

struct frame;

/// A socket in the listening state, opened by the keeper. Every thread has one of its own for
/// every address; together they form a SO_REUSEPORT group.
struct listener_socket {
    std::uint32_t listener = 0; ///< index into configuration::listeners
    std::uint32_t thread = 0;   ///< index of the thread that accepts from it
    unique_fd socket;
};

/// Keeper to worker: serve this from now on; listeners that are not in it stop accepting, while
/// running connections keep the rules they began with.
struct configure {
    std::string file; ///< for messages
    std::string text;
    std::uint32_t threads = 1; ///< the same in every configure
    std::vector<listener_socket> listeners;
    unique_fd control; ///< listening control socket; empty in all but the first
};

/// Keeper to worker: stop accepting, finish what runs within timeouts.drain, then end.
struct drain {};

/// Keeper to worker: what became of a `reload_wish`.
struct reloaded {
    std::string failure; ///< empty: the new configuration is in force
};

using order = std::variant<configure, drain, reloaded>;

/// Worker to keeper: the last `configure` is in force.
struct serving {};
/// Worker to keeper: the last `configure` was refused and changed nothing.
struct refused {
    std::string reason; ///< arrives as one line, whatever was sent
};
/// Worker to keeper: somebody asked for a reload over the control socket; answered by `reloaded`.
struct reload_wish {};

using report = std::variant<serving, refused, reload_wish>;

/// One end of the socket pair (SOCK_SEQPACKET, close-on-exec); descriptors travel as SCM_RIGHTS.
/// Any number of listeners is split over as many messages as they need.
class channel {
public:
    explicit channel(unique_fd socket) noexcept : socket_(std::move(socket)) {}

    [[nodiscard]] static std::expected<std::pair<channel, channel>, std::error_code> make_pair();

    [[nodiscard]] std::error_code send(const order& o);
    [[nodiscard]] std::error_code send(const report& r);

    /// Wait for the next whole message. The error not_connected says that the other side is gone,
    /// bad_message that it sent what no keeper or worker sends, too_many_files_open that its
    /// descriptors found no room in this process: that message is dropped, the next one can be
    /// received.
    [[nodiscard]] std::expected<order, std::error_code> receive_order();
    [[nodiscard]] std::expected<report, std::error_code> receive_report();

    [[nodiscard]] int native_handle() const noexcept { return socket_.get(); } ///< for polling

private:
    [[nodiscard]] std::error_code send_configure(const configure& c);
    [[nodiscard]] std::expected<configure, std::error_code> receive_configure(frame first);

    unique_fd socket_;
};

} // namespace manypath::keeper
