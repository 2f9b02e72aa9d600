// SPDX-License-Identifier: Apache-2.0
// libfuse 3.14's low-level API; the inlines build what Swift cannot: flexible arrays and argument vectors.
#ifndef SLACKER_CFUSE3_SHIM_H
#define SLACKER_CFUSE3_SHIM_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A session with three argument words: program, -o, options.
static inline struct fuse_session *slk_fuse_session_new(
    char *options, const struct fuse_lowlevel_ops *operations, void *userdata) {
    char *words[] = {(char *)"slacker", (char *)"-o", options, NULL};
    struct fuse_args arguments = FUSE_ARGS_INIT(3, words);
    struct fuse_session *session = fuse_session_new(&arguments, operations, sizeof(*operations), userdata);
    fuse_opt_free_args(&arguments);
    return session;
}

// Has a session that attached to a kernel's connection of long ago believe that the kernel has just begun to talk to
// it: gives it an INIT request that the kernel never sent. The kernel refuses the answer, as nobody waits for it.
static inline void slk_fuse_feed_init(struct fuse_session *session, uint32_t max_readahead) {
    struct {
        struct { uint32_t len, opcode; uint64_t unique, nodeid; uint32_t uid, gid, pid, padding; } header;
        struct { uint32_t major, minor, max_readahead, flags, flags2, unused[11]; } body;
    } request;
    memset(&request, 0, sizeof(request));
    request.header.len = sizeof(request);
    request.header.opcode = 26; /* FUSE_INIT */
    request.header.unique = 0x7ffffffffffffffeu; /* no request of the kernel has it */
    request.body.major = 7;
    request.body.minor = 38;
    request.body.max_readahead = max_readahead;
    /* What every kernel that can send requests again has: asynchronous reads and direct I/O, big writes, the splices,
       parallel directory operations, requests of many pages. */
    request.body.flags = 1u << 0 | 1u << 5 | 1u << 7 | 1u << 8 | 1u << 9 | 1u << 15 | 1u << 18 | 1u << 22;
    struct fuse_buf buffer = {.size = sizeof(request), .mem = &request};
    fuse_session_process_buf(session, &buffer);
}
// Has the kernel send again every request that was read and not answered; -1 with EINVAL where it cannot (before 6.9).
static inline int slk_fuse_resend(int descriptor) {
    struct { uint32_t len; int32_t error; uint64_t unique; } notice = {16, 7 /* FUSE_NOTIFY_RESEND */, 0};
    return write(descriptor, &notice, sizeof(notice)) == (ssize_t)sizeof(notice) ? 0 : -1;
}

// A buffer vector with room for `capacity` buffers; `free` gives it back.
static inline struct fuse_bufvec *slk_bufvec_allocate(size_t capacity) {
    return (struct fuse_bufvec *)calloc(1, sizeof(struct fuse_bufvec) + capacity * sizeof(struct fuse_buf));
}
static inline void slk_bufvec_reset(struct fuse_bufvec *vector) {
    vector->count = 0;
    vector->idx = 0;
    vector->off = 0;
}
static inline void slk_bufvec_add_file(struct fuse_bufvec *vector, int fd, off_t offset, size_t size) {
    struct fuse_buf buffer = {
        .size = size, .flags = (enum fuse_buf_flags)(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK | FUSE_BUF_FD_RETRY),
        .fd = fd, .pos = offset};
    vector->buf[vector->count++] = buffer;
}
static inline void slk_bufvec_add_memory(struct fuse_bufvec *vector, const void *memory, size_t size) {
    struct fuse_buf buffer = {.size = size, .mem = (void *)memory};
    vector->buf[vector->count++] = buffer;
}
// Moves up to `size` bytes of a request's buffers into a file; the vector remembers how far it came.
static inline ssize_t slk_bufvec_write(struct fuse_bufvec *source, int fd, off_t offset, size_t size) {
    struct fuse_bufvec target = FUSE_BUFVEC_INIT(size);
    target.buf[0].flags = (enum fuse_buf_flags)(FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK | FUSE_BUF_FD_RETRY);
    target.buf[0].fd = fd;
    target.buf[0].pos = offset;
    return fuse_buf_copy(&target, source, (enum fuse_buf_copy_flags)0);
}
// Copies up to `size` bytes of a request's buffers into memory; the vector remembers how far it came.
static inline ssize_t slk_bufvec_read(struct fuse_bufvec *source, void *memory, size_t size) {
    struct fuse_bufvec target = FUSE_BUFVEC_INIT(size);
    target.buf[0].mem = memory;
    return fuse_buf_copy(&target, source, (enum fuse_buf_copy_flags)0);
}

#endif
