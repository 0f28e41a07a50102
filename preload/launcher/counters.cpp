// SPDX-License-Identifier: Apache-2.0
#include "preload/launcher/counters.hpp"

#include <fstream>
#include <iterator>
#include <sstream>

namespace manypath::launcher {

mptcp_counters parse_counters(std::string_view netstat)
{
    // Two lines with one prefix: the names, then the values.
    std::istringstream lines{std::string{netstat}};
    std::string names;
    std::string values;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("MPTcpExt:"))
            (names.empty() ? names : values) = line;
    }
    mptcp_counters counters;
    std::istringstream name_words{names};
    std::istringstream value_words{values};
    std::string name;
    std::string prefix;
    std::uint64_t value = 0;
    name_words >> prefix;
    value_words >> prefix;
    while (name_words >> name && value_words >> value)
        counters.emplace(name, value);
    return counters;
}

mptcp_counters read_counters()
{
    std::ifstream file{"/proc/net/netstat"};
    return parse_counters(
        std::string{std::istreambuf_iterator<char>{file}, std::istreambuf_iterator<char>{}});
}

mptcp_counters growth(const mptcp_counters& before, const mptcp_counters& after)
{
    mptcp_counters grown;
    for (const auto& [name, value] : after) {
        if (const std::uint64_t old = value_of(before, name); value > old)
            grown.emplace(name, value - old);
    }
    return grown;
}

std::uint64_t value_of(const mptcp_counters& counters, std::string_view name)
{
    const auto found = counters.find(name);
    return found == counters.end() ? 0 : found->second;
}

std::string fallback_reason(const mptcp_counters& grown)
{
    if (value_of(grown, "MPCapableSYNTXDisabled") != 0)
        return "the kernel has switched MPTCP off for a while, because a network swallowed its "
               "SYNs";
    if (value_of(grown, "MPCapableSYNTXDrop") != 0)
        return "SYNs with MPTCP got no answer, so the kernel repeated one without";
    if (value_of(grown, "MPCapableFallbackSYNACK") != 0)
        return "the peer, or something on the way, answered without MPTCP";
    if (value_of(grown, "MPCapableFallbackACK") != 0)
        return "the handshake lost its MPTCP option on the way";
    if (value_of(grown, "DSSCorruptionFallback") != 0 || value_of(grown, "DataCsumErr") != 0)
        return "something on the way changes the stream";
    return "the connection lost MPTCP on the way";
}

} // namespace manypath::launcher
