// asio.hpp: the names that every asynchronous part of the gateway uses.
// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>

namespace manypath {

namespace asio = boost::asio;
using boost::system::error_code;
using endpoint = asio::ip::tcp::endpoint;
using executor = asio::io_context::executor_type; ///< one io_context per thread, never shared

} // namespace manypath
