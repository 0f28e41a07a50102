// SPDX-License-Identifier: Apache-2.0
#include "proxy/acl/acl.hpp"

#include <catch2/catch.hpp>

using namespace manypath;

namespace {

asio::ip::address address(const char* text)
{
    return asio::ip::make_address(text);
}

config::listen listener(config::listen_mode mode)
{
    config::listen made;
    made.mode = mode;
    return made;
}

config::listen listening_at(const char* where, std::uint16_t port)
{
    config::listen made;
    made.addresses.emplace_back(address(where), port);
    return made;
}

} // namespace

TEST_CASE("without an access list only this host may name destinations", "[acl]")
{
    for (const auto mode : {config::listen_mode::socks5, config::listen_mode::http_connect}) {
        CHECK(admits(listener(mode), address("127.0.0.1")));
        CHECK(admits(listener(mode), address("127.8.8.8")));
        CHECK(admits(listener(mode), address("::1")));
        CHECK(admits(listener(mode), address("::ffff:127.0.0.1")));
        CHECK_FALSE(admits(listener(mode), address("198.18.0.2")));
        CHECK_FALSE(admits(listener(mode), address("::ffff:198.18.0.2")));
        CHECK_FALSE(admits(listener(mode), address("2001:db8::2")));
    }
    for (const auto mode : {config::listen_mode::forward, config::listen_mode::transparent})
        CHECK(admits(listener(mode), address("198.18.0.2")));
}

TEST_CASE("an access list is all that counts where there is one", "[acl]")
{
    for (const auto mode : {config::listen_mode::socks5, config::listen_mode::forward}) {
        auto limited = listener(mode);
        limited.allow = {{address("198.18.0.0"), 15}, {address("2001:db8::"), 32}};
        CHECK(admits(limited, address("198.19.255.255")));
        CHECK(admits(limited, address("::ffff:198.18.0.1")));
        CHECK(admits(limited, address("2001:db8:ffff::1")));
        CHECK_FALSE(admits(limited, address("198.20.0.1")));
        CHECK_FALSE(admits(limited, address("2001:db9::1")));
        CHECK_FALSE(admits(limited, address("127.0.0.1")));
    }
}

TEST_CASE("the gateway knows its own listeners however they are addressed", "[acl]")
{
    const own_listeners one{{listening_at("198.18.0.1", 1080)}};
    CHECK(one.include({address("198.18.0.1"), 1080}));
    CHECK(one.include({address("::ffff:198.18.0.1"), 1080}));
    CHECK_FALSE(one.include({address("198.18.0.1"), 1081}));
    CHECK_FALSE(one.include({address("198.18.0.2"), 1080}));

    const own_listeners any{{listening_at("0.0.0.0", 1080), listening_at("::", 1081)}};
    CHECK(any.include({address("127.0.0.1"), 1080}));
    CHECK(any.include({address("127.9.9.9"), 1080}));
    CHECK(any.include({address("0.0.0.0"), 1080}));
    CHECK(any.include({address("::1"), 1081}));
    CHECK_FALSE(any.include({address("203.0.113.7"), 1080}));
    CHECK_FALSE(any.include({address("127.0.0.1"), 1082}));
}
