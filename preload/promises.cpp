// promises.cpp: the table of options that are never pretended.
//
// A number stands where glibc's or musl's headers do not have the name yet; at these levels the
// kernel's numbers are the same on every architecture.
// SPDX-License-Identifier: Apache-2.0
#include "preload/promises.hpp"

#include <cerrno>
#include <cstdint>

#include <netinet/in.h>
#include <netinet/tcp.h>

namespace manypath::preload {

namespace {

/// What zero means: off as an int, off if all bytes of a longer value are zero, or nothing special.
enum class zero : std::uint8_t { is_off, throughout_is_off, is_a_promise };

struct promise {
    int level;
    int name;
    int answer; ///< errno of a TCP socket that lacks the feature
    zero meaning;
};

constexpr promise promises[] = {
    // Without the tls module TCP says ENOENT, and every user of kTLS goes on without it.
    {IPPROTO_TCP, TCP_ULP, ENOENT, zero::is_a_promise},
    // What a kernel built without TCP-MD5 or TCP-AO says.
    {IPPROTO_TCP, TCP_MD5SIG, ENOPROTOOPT, zero::is_a_promise},
    {IPPROTO_TCP, TCP_MD5SIG_EXT, ENOPROTOOPT, zero::is_a_promise},
    {IPPROTO_TCP, 38 /* TCP_AO_ADD_KEY */, ENOPROTOOPT, zero::is_a_promise},
    {IPPROTO_TCP, 39 /* TCP_AO_DEL_KEY */, ENOPROTOOPT, zero::is_a_promise},
    {IPPROTO_TCP, 40 /* TCP_AO_INFO */, ENOPROTOOPT, zero::is_a_promise},
    {IPPROTO_TCP, 42 /* TCP_AO_REPAIR */, ENOPROTOOPT, zero::is_a_promise},
    // What a program without CAP_NET_ADMIN gets.
    {IPPROTO_TCP, TCP_REPAIR, EPERM, zero::is_off},
    // The program would look for a control message that never comes.
    {IPPROTO_TCP, TCP_INQ, ENOPROTOOPT, zero::is_off},
    // TCP without peek offsets (before Linux 6.9).
    {SOL_SOCKET, SO_PEEK_OFF, EOPNOTSUPP, zero::is_a_promise},
    {SOL_SOCKET, SO_ZEROCOPY, ENOPROTOOPT, zero::is_off},
    {SOL_SOCKET, SO_ATTACH_FILTER, ENOPROTOOPT, zero::is_a_promise},
    {SOL_SOCKET, SO_ATTACH_BPF, ENOPROTOOPT, zero::is_a_promise},
    {SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, ENOPROTOOPT, zero::is_a_promise},
    {SOL_SOCKET, SO_ATTACH_REUSEPORT_EBPF, ENOPROTOOPT, zero::is_a_promise},
    // Confinement to an interface; EPERM is what an unprivileged program gets.
    {SOL_SOCKET, SO_BINDTODEVICE, EPERM, zero::is_off},
    {SOL_SOCKET, SO_BINDTOIFINDEX, EPERM, zero::is_off},
    // Security by hop count (RFC 5082), and headers that decide the way of a packet.
    {IPPROTO_IP, IP_MINTTL, ENOPROTOOPT, zero::is_off},
    {IPPROTO_IPV6, 73 /* IPV6_MINHOPCOUNT */, ENOPROTOOPT, zero::is_off},
    {IPPROTO_IP, IP_OPTIONS, EPERM, zero::throughout_is_off},
    {IPPROTO_IPV6, 6 /* IPV6_2292PKTOPTIONS */, EPERM, zero::throughout_is_off},
    {IPPROTO_IPV6, IPV6_HOPOPTS, EPERM, zero::throughout_is_off},
    {IPPROTO_IPV6, IPV6_RTHDRDSTOPTS, EPERM, zero::throughout_is_off},
    {IPPROTO_IPV6, IPV6_RTHDR, EPERM, zero::throughout_is_off},
    {IPPROTO_IPV6, IPV6_DSTOPTS, EPERM, zero::throughout_is_off},
};

bool is_off(zero meaning, const void* value, socklen_t length)
{
    if (meaning == zero::is_a_promise)
        return false;
    // Of an int the kernel reads four bytes, however long the program says that it is.
    const bool longer = meaning == zero::is_off && length > sizeof(int);
    const auto* bytes = static_cast<const unsigned char*>(value);
    for (socklen_t i = 0; i < (longer ? sizeof(int) : length); ++i)
        if (bytes[i] != 0)
            return false;
    return true;
}

} // namespace

int refusal_for(int level, int name, const void* value, socklen_t length)
{
    for (const promise& entry : promises) {
        if (entry.level != level || entry.name != name)
            continue;
        return is_off(entry.meaning, value, length) ? 0 : entry.answer;
    }
    return 0;
}

} // namespace manypath::preload
