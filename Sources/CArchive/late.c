// SPDX-License-Identifier: Apache-2.0
// libarchive, loaded by the first import: with libxml2 and ICU behind it, loading it takes longer than all else
// that happens at the start of the program. The functions here have the names and types of libarchive's own, so
// nothing is linked against the library; each looks its namesake up when it is first called.
#include "shim.h"

#include <dlfcn.h>
#include <stdlib.h>

static void *library(void) {
    static void *handle;
    void *found = __atomic_load_n(&handle, __ATOMIC_ACQUIRE);
    if (found == NULL) {
        // Two threads may get here at once; both are given the same handle.
        found = dlopen("libarchive.so.13", RTLD_LAZY | RTLD_LOCAL);
        __atomic_store_n(&handle, found, __ATOMIC_RELEASE);
    }
    return found;
}

static void *symbol(const char *name) {
    void *found = library() == NULL ? NULL : dlsym(library(), name);
    // Nobody gets here without a library: what makes its objects has failed before, see slk_archive_is_missing.
    if (found == NULL) abort();
    return found;
}

int slk_archive_is_missing(void) { return library() == NULL; }

#define LATE(result, name, parameters, arguments)                                \
    result name parameters {                                                     \
        static __typeof__(name) *target;                                         \
        __typeof__(name) *call = __atomic_load_n(&target, __ATOMIC_ACQUIRE);     \
        if (call == NULL) {                                                      \
            call = (__typeof__(name) *)symbol(#name);                            \
            __atomic_store_n(&target, call, __ATOMIC_RELEASE);                   \
        }                                                                        \
        return call arguments;                                                   \
    }

LATE(
    int, archive_entry_acl_next, (struct archive_entry *a, int b, int *c, int *d, int *e, int *f, const char **g),
    (a, b, c, d, e, f, g))
LATE(int, archive_entry_acl_reset, (struct archive_entry *a, int b), (a, b))
LATE(time_t, archive_entry_atime, (struct archive_entry *a), (a))
LATE(int, archive_entry_atime_is_set, (struct archive_entry *a), (a))
LATE(long, archive_entry_atime_nsec, (struct archive_entry *a), (a))
LATE(time_t, archive_entry_ctime, (struct archive_entry *a), (a))
LATE(int, archive_entry_ctime_is_set, (struct archive_entry *a), (a))
LATE(long, archive_entry_ctime_nsec, (struct archive_entry *a), (a))
LATE(mode_t, archive_entry_filetype, (struct archive_entry *a), (a))
LATE(la_int64_t, archive_entry_gid, (struct archive_entry *a), (a))
LATE(const char *, archive_entry_hardlink, (struct archive_entry *a), (a))
LATE(time_t, archive_entry_mtime, (struct archive_entry *a), (a))
LATE(long, archive_entry_mtime_nsec, (struct archive_entry *a), (a))
LATE(const char *, archive_entry_pathname, (struct archive_entry *a), (a))
LATE(mode_t, archive_entry_perm, (struct archive_entry *a), (a))
LATE(dev_t, archive_entry_rdevmajor, (struct archive_entry *a), (a))
LATE(dev_t, archive_entry_rdevminor, (struct archive_entry *a), (a))
LATE(la_int64_t, archive_entry_size, (struct archive_entry *a), (a))
LATE(const char *, archive_entry_symlink, (struct archive_entry *a), (a))
LATE(la_int64_t, archive_entry_uid, (struct archive_entry *a), (a))
LATE(
    int, archive_entry_xattr_next, (struct archive_entry *a, const char **b, const void **c, size_t *d),
    (a, b, c, d))
LATE(int, archive_entry_xattr_reset, (struct archive_entry *a), (a))
LATE(const char *, archive_error_string, (struct archive *a), (a))
LATE(la_int64_t, archive_filter_bytes, (struct archive *a, int b), (a, b))
LATE(
    int, archive_read_data_block, (struct archive *a, const void **b, size_t *c, la_int64_t *d),
    (a, b, c, d))
LATE(int, archive_read_data_skip, (struct archive *a), (a))
LATE(int, archive_read_free, (struct archive *a), (a))
LATE(struct archive *, archive_read_new, (void), ())
LATE(int, archive_read_next_header, (struct archive *a, struct archive_entry **b), (a, b))
LATE(
    int, archive_read_open, (struct archive *a, void *b, archive_open_callback *c, archive_read_callback *d, archive_close_callback *e),
    (a, b, c, d, e))
LATE(int, archive_read_set_options, (struct archive *a, const char *b), (a, b))
LATE(int, archive_read_support_format_tar, (struct archive *a), (a))
