// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The two directories of a daemon, and what lies where in the second.
public struct Places: Sendable, Equatable {
    /// What must survive: catalog, chunks, deltas.
    public let root: String
    /// What a restart of the machine may take away: sockets, mounts, bundles.
    public let run: String

    public static let defaultRoot = "/var/lib/slacker"
    public static let defaultRun = "/run/slacker"

    /// - Parameters: absolute paths.
    public init(root: String, run: String) {
        precondition(
            root.hasPrefix("/") && run.hasPrefix("/"), "paths must not depend on a working directory")
        self.root = root
        self.run = run
    }

    /// Whether a path leads to this state directory, by another way too.
    func hasRoot(_ path: String) -> Bool {
        if path == root { return true }
        guard let mine = realpath(root, nil) else { return false }
        defer { free(mine) }
        guard let other = realpath(path, nil) else { return false }
        defer { free(other) }
        return strcmp(mine, other) == 0
    }

    /// The control API listens here, for root only.
    public var socket: String { run + "/slacker.sock" }
    /// Held by the daemon for as long as it lives.
    public var lock: String { run + "/daemon.lock" }
    /// Standard error of a daemon that a client has started.
    public var log: String { run + "/daemon.log" }
    /// The FUSE mount with `snapshots/` and `volumes/`.
    public var fileSystem: String { run + "/fs" }
    /// Mounts of images that several askers share, by image.
    public var images: String { run + "/images" }
    /// Bundles, by container.
    public var containers: String { run + "/containers" }
    /// State of the OCI runtime.
    public var runtime: String { run + "/runc" }
    /// What a daemon that takes over needs to know of mounts, a file for each.
    public var mounts: String { run + "/mounts" }
    /// Files of `volumes/` that nothing was written to yet.
    public var pending: String { run + "/pending" }
    /// How many daemons have served the mount.
    public var epoch: String { run + "/epoch" }
}
