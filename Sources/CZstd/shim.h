// SPDX-License-Identifier: Apache-2.0
#ifndef SLACKER_CZSTD_SHIM_H
#define SLACKER_CZSTD_SHIM_H

#include <zstd.h>

#endif
