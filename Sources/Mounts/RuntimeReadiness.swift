// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// Makes the machine ready for containers that are about to be started.
///
/// Two things keep an OCI runtime waiting that can be had while the container's root is being made: its
/// program has to be in memory, and its first move of a process to a control group takes a lock of the kernel
/// (`cgroup_threadgroup_rwsem`) whose first writer sits out an RCU grace period. That is 6 to 16 ms on an idle
/// machine. Who moves a process within some 15 ms after somebody else gets the lock in a tenth of a
/// millisecond; so this process moves itself to the groups where it is, again and again, for as long as a
/// runtime may be about to.
public final class RuntimeReadiness: Sendable {
    /// Well below the time for which the kernel's lock stays quick.
    private static let intervalSeconds = 0.007

    private let runtime: String?
    /// Until when a runtime may start; nil while no thread looks after it.
    private let limit = Lock<MonotonicTime?>(nil)

    /// - Parameter runtime: path of the runtime's program; nil when none is installed.
    public init(runtime: String?) {
        self.runtime = runtime
    }

    /// A runtime is to start within so many seconds; returns at once.
    public func expect(withinSeconds seconds: Double) {
        let until = MonotonicTime.now.advanced(bySeconds: seconds)
        let isFirst = limit.withLock { limit in
            defer { limit = max(limit ?? until, until) }
            return limit == nil
        }
        if !isFirst { return }
        if (try? NamedThread("runtime-ready", detached: true) { [self] in run() }) == nil {
            limit.withLock { $0 = nil }
        }
    }

    private func run() {
        if let runtime { try? File(open: runtime, O_RDONLY).prefetch() }
        let group = Self.ownGroup()
        while isExpected() {
            // "0" is whoever writes it; without a group the container starts as it can.
            if let group { _ = try? group.write(Array("0".utf8), at: 0) }
            usleep(useconds_t(Self.intervalSeconds * 1e6))
        }
    }

    private func isExpected() -> Bool {
        limit.withLock { limit in
            if let until = limit, MonotonicTime.now < until { return true }
            limit = nil
            return false
        }
    }

    /// The list of processes of the group in which this one is, in a hierarchy that may be written.
    private static func ownGroup() -> File? {
        guard let bytes = try? File.small("/proc/self/cgroup") else { return nil }
        for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n").reversed() {
            // Number of the hierarchy, controllers, path; "0::PATH" is that of version 2.
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let controllers = fields[1].hasPrefix("name=") ? fields[1].dropFirst("name=".count) : fields[1]
            for hierarchy in controllers.isEmpty ? ["", "/unified"] : ["/\(controllers)"] {
                let path = "/sys/fs/cgroup\(hierarchy)\(fields[2] == "/" ? "" : fields[2])/cgroup.procs"
                if let file = try? File(open: path, O_WRONLY) { return file }
            }
        }
        return nil
    }
}
