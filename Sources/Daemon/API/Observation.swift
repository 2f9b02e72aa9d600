// SPDX-License-Identifier: Apache-2.0

/// One line of `GET /v1/events`: something that has happened.
public struct EventInfo: Codable, Equatable, Sendable {
    /// Counts up from 1 while the daemon serves.
    public let sequence: UInt64
    /// UTC, `2026-01-31T12:00:00Z`.
    public let time: String
    /// What happened, such as `image.removed`; docs/operating.md lists them.
    public let event: String
    /// The image, volume, container, directory or source that it happened to.
    public let name: String
    public let facts: [String: String]
}

/// What the daemon reads and writes, `GET /v1/activity`; counts since it serves.
public struct ActivityInfo: Codable, Equatable, Sendable {
    /// An image or a volume whose block file is known to the kernel.
    public struct File: Codable, Equatable, Sendable {
        public let name: String
        public let isVolume: Bool
        public let readBytes: UInt64
        public let writtenBytes: UInt64
        /// Reads that wait for blocks, and how long the oldest has.
        public let waitingReads: Int
        public let waitingSeconds: Double
    }

    /// Reads that missed the kernel's page cache; those that were answered at once, and those that waited for the
    /// stream of a boot pack or for something else.
    public let reads: UInt64
    public let cacheReads: UInt64
    public let bootPackReads: UInt64
    public let demandReads: UInt64
    public let readBytes: UInt64
    public let writes: UInt64
    public let writtenBytes: UInt64
    public let errors: UInt64
    public let fetchedBytes: UInt64
    public let files: [File]
}

/// What `POST /v1/traces` takes.
public struct TraceRequest: Codable, Sendable {
    public let name: String

    public init(name: String) { self.name = name }
}

/// Reads of a volume or image as they come, `GET /v1/traces/ID`.
///
/// A trace that nobody asks for during 15 seconds ends.
public struct TraceInfo: Codable, Equatable, Sendable {
    public struct Read: Codable, Equatable, Sendable {
        /// Since the trace began.
        public let seconds: Double
        public let offset: UInt64
        public let bytes: Int
        public let durationMs: Double
        /// `cache`, `boot_pack` or `demand_fetch`.
        public let source: String
        /// The files that the blocks belong to, three at most; none for the file system's own blocks, and for those
        /// of files that were made since the volume was cloned.
        public let files: [String]
    }

    public let id: String
    public let reads: [Read]
    /// Reads that came faster than they were asked for.
    public let dropped: UInt64
}

/// Why an image is or is not read lazily, `GET /v1/laziness/REF`.
public struct LazinessInfo: Codable, Equatable, Sendable {
    public enum Verdict: String, Codable, Sendable {
        /// Blocks come when they are read.
        case lazy
        /// It could be, and everything is here by now.
        case whole
        /// It is here whole, and no source has its blocks.
        case local
        /// Not here; a pull is lazy.
        case wouldBeLazy
        /// Not here; a pull fetches everything.
        case wouldBeWhole
        /// Not here, and cannot be pulled.
        case unavailable
    }

    public let name: String
    public let verdict: Verdict
    /// One sentence each, the most important first.
    public let reasons: [String]
    /// What would make it lazy; empty when it is.
    public let remedies: [String]
}
