// preload.cpp: the wrapper's table of remembered options, without any socket.
// SPDX-License-Identifier: Apache-2.0
#include "preload/shadow_table.hpp"

#include <catch2/catch.hpp>

#include <memory>

using manypath::preload::shadow_table;
using manypath::preload::socket_option;

namespace {

constexpr std::size_t whole_table = 256 * shadow_table::options_per_socket;

socket_option option(int name, std::uint32_t value)
{
    socket_option result{.level = 6, .name = name, .length_bytes = 4, .value = {}};
    result.value[0] = value;
    return result;
}

} // namespace

TEST_CASE("options come back in the order in which they were set", "[preload]")
{
    const auto table = std::make_unique<shadow_table>();
    CHECK_FALSE(table->used());
    table->store(7, option(18, 1));
    table->store(7, option(12, 2));
    table->store(8, option(12, 99));
    table->store(7, option(18, 3)); // set again: later than the other
    const auto options = table->list(7);
    REQUIRE(options.size == 2);
    CHECK(options.options[0].name == 12);
    CHECK(options.options[1].name == 18);
    CHECK(options.options[1].value[0] == 3);
    CHECK(table->used());
}

TEST_CASE("an option that the kernel refused again keeps its place and its value", "[preload]")
{
    const auto table = std::make_unique<shadow_table>();
    table->store(7, option(18, 1));
    table->store(7, option(12, 2));
    socket_option refused = table->list(7).options[0];
    refused.kept = 1;
    table->store(7, refused);
    const auto options = table->list(7);
    CHECK(options.options[0].name == 18);
    CHECK(options.options[0].kept == 1);
    CHECK(options.options[0].length_bytes == 4);
}

TEST_CASE("an erased option is gone and nothing else is", "[preload]")
{
    const auto table = std::make_unique<shadow_table>();
    table->store(7, option(18, 1));
    table->store(7, option(12, 2));
    table->erase(7, 6, 18);
    CHECK_FALSE(table->holds(7, 6, 18));
    CHECK(table->holds(7, 6, 12));
    CHECK_FALSE(table->holds(8, 6, 12));
    CHECK(table->list(0).size == 0);
}

// Goal: any number of sockets fits, and only the sockets not used for longest lose anything.
TEST_CASE("a full table evicts what was not touched for longest", "[preload]")
{
    const auto table = std::make_unique<shadow_table>();
    constexpr std::uint64_t listener = 1;
    table->store(listener, option(18, 4711));
    for (std::uint64_t cookie = 2; cookie < 20 * whole_table; ++cookie) {
        table->store(cookie, option(18, static_cast<std::uint32_t>(cookie)));
        if (cookie % 16 == 0)
            table->touch(listener); // as each accepted connection does
        REQUIRE(table->holds(cookie, 6, 18));
    }
    CHECK(table->holds(listener, 6, 18));
    CHECK_FALSE(table->holds(2, 6, 18));
    std::size_t remembered = 0;
    for (std::uint64_t cookie = 1; cookie < 20 * whole_table; ++cookie)
        remembered += table->list(cookie).size;
    CHECK(remembered <= whole_table);
    CHECK(remembered > whole_table / 2);
}

TEST_CASE("one socket never holds more options than the program can list", "[preload]")
{
    const auto table = std::make_unique<shadow_table>();
    for (int name = 1; name <= 40; ++name)
        table->store(7, option(name, 1));
    const auto options = table->list(7);
    CHECK(options.size == shadow_table::options_per_socket);
    CHECK(options.options[options.size - 1].name == 40);
}
