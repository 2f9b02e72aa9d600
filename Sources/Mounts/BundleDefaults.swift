// SPDX-License-Identifier: Apache-2.0

import CLinux

/// What Docker gives every container that asks for nothing else.
///
/// No seccomp filter is set.
enum BundleDefaults {
    static let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    static let capabilities = [
        "CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
        "CAP_MKNOD",
        "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID",
        "CAP_SYS_CHROOT",
    ]

    static let maskedPaths = [
        "/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
        "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
        "/sys/devices/virtual/powercap",
        "/sys/firmware",
    ]

    static let readonlyPaths = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]

    static let mounts: [RuntimeSpecification.Mount] = [
        mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
        mount("/dev", "tmpfs", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount(
            "/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
            "gid=5"),
        mount("/dev/shm", "tmpfs", "shm", "nosuid", "noexec", "nodev", "mode=1777", "size=65536k"),
        mount("/dev/mqueue", "mqueue", "mqueue", "nosuid", "noexec", "nodev"),
        mount("/sys", "sysfs", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"),
    ]

    static func mount(
        _ destination: String, _ type: String, _ source: String, _ options: String...
    ) -> RuntimeSpecification.Mount {
        RuntimeSpecification.Mount(destination: destination, type: type, source: source, options: options)
    }

    /// Open files: as many as may be given, up to Docker's usual million.
    static func limits() -> [RuntimeSpecification.Limit] {
        var soft: UInt64 = 0
        var hard: UInt64 = 0
        guard slk_file_limit(&soft, &hard) == 0 else { return [] }
        let files = min(hard, 1_048_576)
        return [RuntimeSpecification.Limit(type: "RLIMIT_NOFILE", hard: files, soft: files)]
    }
}
