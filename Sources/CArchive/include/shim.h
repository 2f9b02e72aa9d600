// SPDX-License-Identifier: Apache-2.0
#ifndef SLACKER_CARCHIVE_SHIM_H
#define SLACKER_CARCHIVE_SHIM_H

#include <archive.h>
#include <archive_entry.h>

// Not 0 when libarchive is not installed: then none of its functions may be called.
int slk_archive_is_missing(void);

#endif
