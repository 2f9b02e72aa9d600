// SPDX-License-Identifier: Apache-2.0
#ifndef SLACKER_CARCHIVE_SHIM_H
#define SLACKER_CARCHIVE_SHIM_H

#include <archive.h>
#include <archive_entry.h>

#endif
