// SPDX-License-Identifier: Apache-2.0

/// A volume, as lists show it.
public struct VolumeInfo: Codable, Equatable, Sendable {
    public let name: String
    /// The image that it was cloned from, by the name it had then; empty for none.
    public let image: String
    /// UTC, `2026-01-31T12:00:00Z`.
    public let created: String
    public let sizeBytes: UInt64
    /// Bytes of blocks that differ from the parent.
    public let dirtyBytes: UInt64
    /// Where it is mounted, or who else holds it; absent when nobody does.
    public let inUse: String?
    /// Why it cannot be used; absent when it can.
    public let broken: String?
}

/// What `POST /v1/clones` takes.
public struct CloneRequest: Codable, Sendable {
    public let image: String
    public let volume: String
    /// New length of the block file and its file system; absent for the image's.
    public let sizeBytes: UInt64?

    public init(image: String, volume: String, sizeBytes: UInt64?) {
        self.image = image
        self.volume = volume
        self.sizeBytes = sizeBytes
    }
}

/// What `POST /v1/snapshots` takes.
public struct SnapshotRequest: Codable, Sendable {
    public let volume: String
    public let image: String

    public init(volume: String, image: String) {
        self.volume = volume
        self.image = image
    }
}

/// `GET /v1/df`: what the store takes and what it saves.
public struct UsageInfo: Codable, Equatable, Sendable {
    public struct Image: Codable, Equatable, Sendable {
        public let name: String
        public let sizeBytes: UInt64
        public let dataBytes: UInt64
        /// Of `dataBytes`, those in chunks that no other image uses.
        public let uniqueBytes: UInt64
        public let sharedBytes: UInt64
    }

    public struct Volume: Codable, Equatable, Sendable {
        public let name: String
        public let sizeBytes: UInt64
        public let dirtyBytes: UInt64
        /// Disk space that the delta takes.
        public let allocatedBytes: UInt64
    }

    public let images: [Image]
    public let volumes: [Volume]
    public let chunkCount: UInt64
    /// Plain bytes of all chunks, each counted once.
    public let chunkBytes: UInt64
    /// Disk space that they take.
    public let chunkAllocatedBytes: UInt64
    /// Bytes of all images as if nothing were shared.
    public let referencedBytes: UInt64
    /// Disk space of all deltas.
    public let deltaAllocatedBytes: UInt64
}
