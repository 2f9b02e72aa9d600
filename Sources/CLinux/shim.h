// SPDX-License-Identifier: Apache-2.0
// Linux calls that Swift cannot import: variadic functions and ioctl request macros.
// Never define _GNU_SOURCE here: the C types would then differ from those of the Glibc module.
#ifndef SLACKER_CLINUX_SHIM_H
#define SLACKER_CLINUX_SHIM_H

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <linux/openat2.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

// Declared here because glibc shows them only under _GNU_SOURCE, which a module map cannot set.
extern int fallocate(int fd, int mode, off_t offset, off_t len);
extern ssize_t copy_file_range(int fd_in, off_t *off_in, int fd_out, off_t *off_out, size_t len, unsigned flags);
extern int pipe2(int fds[2], int flags);
extern int pthread_setname_np(pthread_t thread, const char *name);
extern int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);
extern int syncfs(int fd);
extern int umount2(const char *target, int flags);

enum {
    SLK_O_PATH = __O_PATH,
    SLK_O_TMPFILE = __O_TMPFILE,
    SLK_SEEK_DATA = 3,
    SLK_SEEK_HOLE = 4,
    SLK_FALLOC_KEEP_SIZE = FALLOC_FL_KEEP_SIZE,
    SLK_FALLOC_PUNCH_HOLE = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
    SLK_FALLOC_ZERO_RANGE = FALLOC_FL_ZERO_RANGE,
    SLK_SPAWN_SETSID = 0x80,
    SLK_LOCK_EXCLUSIVE_NOWAIT = LOCK_EX | LOCK_NB,
};

static inline int slk_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }
static inline int slk_ioctl_int(int fd, unsigned long request, long value) { return ioctl(fd, request, value); }
static inline int slk_ioctl_pointer(int fd, unsigned long request, void *argument) {
    return ioctl(fd, request, argument);
}
static inline int slk_fcntl_int(int fd, int command, long value) { return fcntl(fd, command, value); }
static inline int slk_fcntl(int fd, int command) { return fcntl(fd, command); }

// glibc has no wrapper for openat2; `resolve` takes the RESOLVE_ bits.
static inline int slk_openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
}
static const uint64_t SLK_RESOLVE_IN_ROOT = RESOLVE_IN_ROOT;
static const uint64_t SLK_RESOLVE_NO_XDEV = RESOLVE_NO_XDEV;

static inline int slk_mknod_block(const char *path, mode_t mode, unsigned major, unsigned minor) {
    return mknod(path, S_IFBLK | mode, makedev(major, minor));
}
// Writeback through this thread must not wait for itself. Needs CAP_SYS_RESOURCE; harmless where it is refused.
static inline int slk_set_io_flusher(void) { return prctl(57 /* PR_SET_IO_FLUSHER */, 1, 0, 0, 0); }
// Sends bytes over a unix socket, and one descriptor with them unless it is negative. As sendmsg(2).
static inline ssize_t slk_send_descriptor(int socket, const void *bytes, size_t count, int descriptor) {
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = count};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    memset(&control, 0, sizeof(control));
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (descriptor >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(header), &descriptor, sizeof(int));
    }
    return sendmsg(socket, &message, MSG_NOSIGNAL);
}
// Receives bytes and the descriptor that came with them; -1 where none did. As recvmsg(2).
static inline ssize_t slk_receive_descriptor(int socket, void *bytes, size_t count, int flags, int *descriptor) {
    struct iovec part = {.iov_base = bytes, .iov_len = count};
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    *descriptor = -1;
    ssize_t result = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
    if (result < 0) return result;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
            memcpy(descriptor, CMSG_DATA(header), sizeof(int));
    return result;
}
// The user and the process at the other end of a unix socket; 0 on success.
static inline int slk_peer(int socket, int32_t *process, uint32_t *user) {
    struct { int32_t process; uint32_t user, group; } peer = {0, 0, 0};
    socklen_t length = sizeof(peer);
    if (getsockopt(socket, SOL_SOCKET, 17 /* SO_PEERCRED */, &peer, &length) < 0) return -1;
    *process = peer.process;
    *user = peer.user;
    return 0;
}
// Both limits of open files; 0 on success.
static inline int slk_file_limit(uint64_t *soft, uint64_t *hard) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return -1;
    *soft = limit.rlim_cur;
    *hard = limit.rlim_max;
    return 0;
}

static const unsigned long SLK_LOOP_CTL_GET_FREE = LOOP_CTL_GET_FREE;
static const unsigned long SLK_LOOP_CONFIGURE = LOOP_CONFIGURE;
static const unsigned long SLK_LOOP_CLR_FD = LOOP_CLR_FD;
static const unsigned long SLK_LOOP_GET_STATUS64 = LOOP_GET_STATUS64;
static const unsigned long SLK_FIFREEZE = FIFREEZE;
static const unsigned long SLK_FITHAW = FITHAW;

// A lambda cannot give pthread attributes the writer-preference that glibc offers as a macro constant.
static inline int slk_rwlock_init_prefer_writer(pthread_rwlock_t *lock) {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    pthread_rwlockattr_setkind_np(&attributes, 2 /* PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP */);
    int result = pthread_rwlock_init(lock, &attributes);
    pthread_rwlockattr_destroy(&attributes);
    return result;
}

#endif
