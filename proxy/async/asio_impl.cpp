// asio_impl.cpp: Boost.Asio's non-template code, compiled once instead of in every file.
// SPDX-License-Identifier: Apache-2.0
#include <boost/asio/impl/src.hpp>
