// json_impl.cpp: Boost.JSON's code, compiled once instead of in every file.
// SPDX-License-Identifier: Apache-2.0
#include <boost/json/src.hpp>
