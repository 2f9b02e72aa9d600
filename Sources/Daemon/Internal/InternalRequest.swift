// SPDX-License-Identifier: Apache-2.0

public import Mounts

/// What the daemon asks of a child process of its own program: a line of JSON on the child's standard input.
///
/// The daemon serves the files under its mounts, so a thread of it that waits for such a mount could wait for
/// itself. Whatever touches a mount is therefore done by a child.
public enum InternalRequest: Codable, Sendable {
    /// Mounts a block file on a directory, which is made when it is missing.
    case mount(MountJob)
    /// Shows a mounted directory at a second place.
    case bind(source: String, directory: String, readOnly: Bool)
    /// Mounts, where a mount is given, and writes a container's bundle.
    case prepare(mount: MountJob?, bundle: BundleJob)
    /// Takes mounts away, in order, and removes directories that are then empty where that is asked for.
    case unmount([UnmountJob])
    /// Takes bundle directories away with the roots that are mounted in them, whose content nobody wants.
    case discard([String])
    /// Holds a file system still until standard input ends.
    case freeze(directory: String)
    /// Lifts a freeze whose child was killed.
    case thaw(directory: String)
    /// Sets the length of a block file, and of the ext4 in it.
    case resize(file: String, sizeBytes: UInt64)
    /// Counts what the file system at a directory has in use and has free.
    case space(directory: String)
    /// Takes away all that a dead daemon has left below its run directory.
    case clean(run: String)
    /// Takes away what a dead daemon has left half made, beside what goes on.
    case cleanStrays(run: String, known: KnownLife)
}

/// What goes on after the death of a daemon, by name.
public struct KnownLife: Codable, Sendable {
    public let containers: [String]
    /// Names of the directories below `images/`.
    public let images: [String]
}

/// One block file to mount.
public struct MountJob: Codable, Sendable {
    public let file: String
    public let directory: String
    public let readOnly: Bool
    /// Its blocks may have to be fetched, so none is to be read that nobody asked for.
    public var isSparing = false
}

/// One container whose bundle is to be written.
public struct BundleJob: Codable, Sendable {
    public let directory: String
    public let root: String
    public let identifier: String
    /// The OCI image configuration, JSON; empty for none.
    public let configuration: String
    public let options: BundleOptions
}

/// One mount to take away.
public struct UnmountJob: Codable, Sendable {
    public let directory: String
    /// When it is busy, take it out of sight now and let it go with its last user.
    public let lazily: Bool
    /// Remove the directory afterwards.
    public let remove: Bool
}

/// What the child prints: one JSON object on one line.
public struct InternalAnswer: Codable, Sendable {
    /// Why it failed; absent when it did not.
    public var failure: Failure?
    /// Mounts that were made.
    public var device: String?
    public var directory: String?
    public var space: FileSystemSpace?
    /// Things that were cleaned up or could not be, for the log.
    public var notes: [String]?
    /// Milliseconds by step.
    public var timings: [ContainerInfo.Timing]?
}

/// What a file system has in use and has free, with what is still to be written.
public struct FileSystemSpace: Codable, Sendable {
    public let usedInodes: UInt64
    public let freeBytes: UInt64

    public init(usedInodes: UInt64, freeBytes: UInt64) {
        self.usedInodes = usedInodes
        self.freeBytes = freeBytes
    }
}
