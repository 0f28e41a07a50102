// mptcp_abi.hpp: numbers of the kernel's MPTCP socket interface that Debian 12's headers lack.
//
// The only header that libmanypath.so shares with the rest; it includes nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace manypath::abi {

inline constexpr int ipproto_mptcp = 262; ///< `protocol` of socket(2)
inline constexpr int sol_mptcp = 284;     ///< `level` of the options below

/// Level SOL_TCP, read only: 1 while the connection speaks MPTCP, 0 after fallback. Linux 6.10.
inline constexpr int tcp_is_mptcp = 43;

inline constexpr int mptcp_info = 1;
inline constexpr int mptcp_tcpinfo = 2;
inline constexpr int mptcp_subflow_addrs = 3;
inline constexpr int mptcp_full_info = 4; ///< Linux 6.12

/// Bits of `mptcpi_flags` in MPTCP_INFO.
inline constexpr unsigned info_flag_fallback = 1;
inline constexpr unsigned info_flag_remote_key = 2;

} // namespace manypath::abi
