// SPDX-License-Identifier: Apache-2.0
#ifndef SLACKER_CZLIB_SHIM_H
#define SLACKER_CZLIB_SHIM_H

#include <zlib.h>

#endif
