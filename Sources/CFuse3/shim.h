// SPDX-License-Identifier: Apache-2.0
#ifndef SLACKER_CFUSE3_SHIM_H
#define SLACKER_CFUSE3_SHIM_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#endif
