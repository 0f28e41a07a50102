/* musl_shim.h: what Debian's libstdc++, configured for glibc, expects of a C library's headers.
 *
 * Only for compiling libmanypath.so's source against musl; it uses none of this.
 * SPDX-License-Identifier: Apache-2.0
 */
#pragma once

#include <locale.h>
#include <pthread.h>

typedef locale_t __locale_t;
extern "C" int pthread_cond_clockwait(pthread_cond_t*, pthread_mutex_t*, clockid_t,
                                      const struct timespec*);
