// SPDX-License-Identifier: Apache-2.0
#ifndef SLACKER_CNGHTTP2_SHIM_H
#define SLACKER_CNGHTTP2_SHIM_H

#include <nghttp2/nghttp2.h>
#include <sys/syscall.h>
#include <unistd.h>

// glibc shows accept4 only under _GNU_SOURCE, which a module map cannot set. 02000000 is SOCK_CLOEXEC.
static inline int slk_accept(int listener) { return (int)syscall(SYS_accept4, listener, 0, 0, 02000000); }

#endif
