// SPDX-License-Identifier: Apache-2.0
#include "proxy/keeper/channel.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <thread>

using namespace manypath;
using namespace manypath::keeper;

namespace {

/// A descriptor that can be told from every other one by its inode.
unique_fd distinct_file()
{
    return unique_fd{::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
}

ino_t inode(const unique_fd& fd)
{
    struct stat s {};
    REQUIRE(::fstat(fd.get(), &s) == 0);
    return s.st_ino;
}

} // namespace

// Goal: a gateway with any number of addresses and threads gets all of its sockets.
// Method: more descriptors and more text than any single datagram can carry; compare inodes.
TEST_CASE("a configuration with hundreds of listeners arrives whole", "[keeper]")
{
    auto pair = channel::make_pair();
    REQUIRE(pair);
    configure sent{.file = "/etc/manypath/manypathd.toml",
                   .text = std::string(700'000, 'x') + "end",
                   .threads = 4,
                   .listeners = {},
                   .control = distinct_file()};
    std::vector<ino_t> inodes;
    for (std::uint32_t i = 0; i < 400; ++i) {
        sent.listeners.push_back({i / 4, i % 4, distinct_file()});
        inodes.push_back(inode(sent.listeners.back().socket));
    }
    const ino_t control = inode(sent.control);
    const order o{std::move(sent)};
    std::thread sender{[&] { CHECK_FALSE(pair->first.send(o)); }};
    auto received = pair->second.receive_order();
    sender.join();

    REQUIRE(received);
    const auto& original = std::get<configure>(o);
    const auto& copy = std::get<configure>(*received);
    CHECK(copy.file == original.file);
    CHECK((copy.text == original.text));
    CHECK(copy.threads == 4);
    CHECK(inode(copy.control) == control);
    REQUIRE(copy.listeners.size() == inodes.size());
    for (std::size_t i = 0; i < inodes.size(); ++i) {
        CHECK(copy.listeners[i].listener == i / 4);
        CHECK(copy.listeners[i].thread == i % 4);
        CHECK(inode(copy.listeners[i].socket) == inodes[i]);
    }
    CHECK((::fcntl(copy.listeners[0].socket.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("every report arrives as it was sent", "[keeper]")
{
    auto pair = channel::make_pair();
    REQUIRE(pair);
    CHECK_FALSE(pair->second.send(report{serving{}}));
    CHECK_FALSE(pair->second.send(report{refused{"no such listener"}}));
    CHECK_FALSE(pair->second.send(report{reload_wish{}}));
    CHECK(std::holds_alternative<serving>(pair->first.receive_report().value()));
    CHECK(std::get<refused>(pair->first.receive_report().value()).reason == "no such listener");
    CHECK(std::holds_alternative<reload_wish>(pair->first.receive_report().value()));
}

TEST_CASE("orders without descriptors arrive as they were sent", "[keeper]")
{
    auto pair = channel::make_pair();
    REQUIRE(pair);
    CHECK_FALSE(pair->first.send(order{drain{}}));
    CHECK_FALSE(pair->first.send(order{reloaded{}}));
    CHECK_FALSE(pair->first.send(order{reloaded{"manypathd.toml:3: listen.mode: unknown"}}));
    const auto first = pair->second.receive_order();
    REQUIRE(first);
    CHECK(std::holds_alternative<drain>(*first));
    const auto second = pair->second.receive_order();
    REQUIRE(second);
    CHECK(std::get<reloaded>(*second).failure.empty());
    const auto third = pair->second.receive_order();
    REQUIRE(third);
    CHECK(std::get<reloaded>(*third).failure == "manypathd.toml:3: listen.mode: unknown");
}

TEST_CASE("the end of the other side is told as not connected", "[keeper]")
{
    auto pair = channel::make_pair();
    REQUIRE(pair);
    {
        const channel gone = std::move(pair->second);
    }
    CHECK(pair->first.receive_report().error() == std::errc::not_connected);
    CHECK(pair->first.send(order{drain{}}) == std::errc::not_connected);
}

// Goal: a report can never be taken for an order, whatever a broken worker sends.
TEST_CASE("a message of the wrong direction is refused", "[keeper]")
{
    auto pair = channel::make_pair();
    REQUIRE(pair);
    CHECK_FALSE(pair->second.send(report{serving{}}));
    CHECK_FALSE(pair->first.send(order{drain{}}));
    CHECK(pair->first.receive_order().error() == std::errc::bad_message);
    CHECK(pair->second.receive_report().error() == std::errc::bad_message);
}
