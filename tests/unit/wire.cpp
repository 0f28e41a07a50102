// SPDX-License-Identifier: Apache-2.0
#include "common/wire/socks5.hpp"

#include <catch2/catch.hpp>
#include <random>

using namespace manypath;
namespace wire = manypath::socks5;

namespace {

using bytes = std::vector<std::byte>;

bytes of(std::initializer_list<int> values)
{
    bytes all;
    for (const int v : values)
        all.push_back(static_cast<std::byte>(v));
    return all;
}

/// value -> bytes -> value, every prefix on the way, and bytes that follow.
template <typename Message>
void check_round_trip(const Message& message, wire::parse_result<Message> (*parse)(byte_view))
{
    bytes encoded = emit(message);
    for (std::size_t size = 0; size < encoded.size(); ++size) {
        const auto partial = parse(byte_view{encoded}.first(size));
        REQUIRE_FALSE(partial);
        REQUIRE(partial.error() == wire_error::truncated);
    }
    const std::size_t size = encoded.size();
    encoded.push_back(std::byte{0x2a});
    const auto whole = parse(encoded);
    REQUIRE(whole);
    CHECK(whole->message == message);
    CHECK(whole->size == size);
}

} // namespace

TEST_CASE("a reader past its end reads zero and says so", "[base]")
{
    const bytes in = of({1, 2, 3});
    reader at{in};
    CHECK(at.read<std::uint16_t>() == 0x0102);
    CHECK(at.ok());
    CHECK_FALSE(at.done());
    CHECK(at.read<std::uint16_t>() == 0);
    CHECK_FALSE(at.ok());
    CHECK(at.read<std::uint8_t>() == 0);
    CHECK_FALSE(at.done());
}

TEST_CASE("a writer and a reader agree on every width", "[base]")
{
    std::array<std::byte, 15> room{};
    writer out{room};
    out.write(std::uint64_t{0x0102030405060708});
    out.write(std::uint32_t{0xfffefdfc});
    out.write(std::uint16_t{0x8001});
    out.write(std::uint8_t{0xff});
    CHECK(out.ok());
    reader in{room};
    CHECK(in.read<std::uint64_t>() == 0x0102030405060708);
    CHECK(in.read<std::uint32_t>() == 0xfffefdfc);
    CHECK(in.read<std::uint16_t>() == 0x8001);
    CHECK(in.read<std::uint8_t>() == 0xff);
    CHECK(in.done());
    out.write(std::uint8_t{1});
    CHECK_FALSE(out.ok());
    CHECK(out.size() == room.size());
}

TEST_CASE("every SOCKS5 message survives the way to bytes and back", "[wire]")
{
    using wire::method;
    check_round_trip(wire::greeting{{method::none}}, wire::parse_greeting);
    check_round_trip(wire::greeting{{method::gssapi, method::password, method::none}},
                     wire::parse_greeting);
    check_round_trip(wire::greeting{std::vector<method>(255, method::gssapi)},
                     wire::parse_greeting);
    check_round_trip(wire::choice{method::no_acceptable}, wire::parse_choice);
    check_round_trip(wire::credentials{"user", std::string(255, 'p')}, wire::parse_credentials);
    check_round_trip(wire::verdict{1}, wire::parse_verdict);
    const wire::address v4 = wire::ipv4_address{198, 18, 0, 1};
    const wire::address v6 =
        wire::ipv6_address{0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
    const wire::address name = std::string(255, 'n');
    for (const auto& where : {v4, v6, name}) {
        check_round_trip(wire::request{wire::command::connect, where, 443}, wire::parse_request);
        check_round_trip(wire::reply{wire::reply_code::ttl_expired, where, 65535},
                         wire::parse_reply);
    }
}

TEST_CASE("SOCKS5 messages have the bytes of RFC 1928", "[wire]")
{
    CHECK(emit(wire::greeting{{wire::method::none, wire::method::password}}) == of({5, 2, 0, 2}));
    CHECK(emit(wire::request{wire::command::connect, wire::ipv4_address{192, 0, 2, 10}, 443}) ==
          of({5, 1, 0, 1, 192, 0, 2, 10, 1, 0xbb}));
    CHECK(emit(wire::reply{wire::reply_code::connection_refused}) ==
          of({5, 5, 0, 1, 0, 0, 0, 0, 0, 0}));
    CHECK(emit(wire::request{wire::command::bind, std::string{"ab"}, 80}) ==
          of({5, 2, 0, 3, 2, 'a', 'b', 0, 80}));
    CHECK(emit(wire::credentials{"u", "pw"}) == of({1, 1, 'u', 2, 'p', 'w'}));
}

TEST_CASE("what is no SOCKS5 is refused as soon as it shows", "[wire]")
{
    CHECK(wire::parse_greeting(of({4})).error() == wire_error::bad_version);
    CHECK(wire::parse_greeting(of({'G', 'E', 'T'})).error() == wire_error::bad_version);
    CHECK(wire::parse_greeting(of({5, 0})).error() == wire_error::bad_length);
    CHECK(wire::parse_request(of({5, 1, 0, 2})).error() == wire_error::bad_type);
    CHECK(wire::parse_request(of({5, 1, 0, 3, 0})).error() == wire_error::bad_length);
    CHECK(wire::parse_credentials(of({5, 1})).error() == wire_error::bad_version);
    CHECK(wire::parse_credentials(of({1, 1, 'u', 0})).error() == wire_error::bad_length);
}

// Goal: no input makes a parser read outside it or claim more than there is.
// Method: random bytes behind the right version; the sanitizer build watches the reads.
TEST_CASE("SOCKS5 parsers stay within random input", "[wire]")
{
    const std::uint32_t seed = 20261121;
    CAPTURE(seed);
    std::mt19937 random{seed};
    for (int round = 0; round < 20000; ++round) {
        bytes in(random() % 40);
        for (auto& b : in)
            b = static_cast<std::byte>(random());
        if (!in.empty())
            in.front() = std::byte{5};
        if (const auto greeting = wire::parse_greeting(in))
            REQUIRE(greeting->size <= in.size());
        if (const auto request = wire::parse_request(in)) {
            REQUIRE(request->size <= in.size());
            const auto again = wire::parse_request(emit(request->message));
            REQUIRE(again);
            REQUIRE(again->message == request->message);
        }
    }
}
