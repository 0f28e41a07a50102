// SPDX-License-Identifier: Apache-2.0
#include "proxy/config/config.hpp"

#include "proxy/config/values.hpp"

#include <algorithm>
#include <span>

namespace manypath::config {

namespace {

asio::ip::address without_mapping(const asio::ip::address& a)
{
    if (a.is_v6() && a.to_v6().is_v4_mapped())
        return asio::ip::make_address_v4(asio::ip::v4_mapped, a.to_v6());
    return a;
}

bool same_bits(std::span<const unsigned char> a, std::span<const unsigned char> b, unsigned length)
{
    const std::size_t whole = length / 8;
    if (!std::ranges::equal(a.first(whole), b.first(whole)))
        return false;
    const unsigned rest = length % 8;
    return rest == 0 || ((a[whole] ^ b[whole]) >> (8 - rest)) == 0;
}

} // namespace

bool prefix::contains(const asio::ip::address& a) const
{
    const auto candidate = without_mapping(a);
    if (candidate.is_v4() != address.is_v4())
        return false;
    if (candidate.is_v4())
        return same_bits(candidate.to_v4().to_bytes(), address.to_v4().to_bytes(), length);
    return same_bits(candidate.to_v6().to_bytes(), address.to_v6().to_bytes(), length);
}

std::string_view name_of(listen_mode m) noexcept
{
    return word_for(listen_modes, m);
}

std::string_view name_of(protocol p) noexcept
{
    return word_for(protocols, p);
}

} // namespace manypath::config
