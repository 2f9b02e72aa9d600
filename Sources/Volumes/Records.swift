// SPDX-License-Identifier: Apache-2.0

public import Base

/// What the catalog knows of an image: a name for a snapshot.
public struct ImageRecord: Sendable, Equatable {
    public let name: String
    /// Names the snapshot for as long as it lives; never used again.
    public let id: UInt64
    /// The length of the block file.
    public let sizeBytes: UInt64
    /// Bytes that are not holes; nil until the snapshot is sealed.
    public let dataBytes: UInt64?
    /// Of `dataBytes`, those that can be read without fetching; nil until the snapshot is sealed.
    public let localBytes: UInt64?
    /// Seconds since 1970.
    public let created: Int64
    /// SHA-256 of the encoded block map; nil until the snapshot is sealed.
    public let digest: Digest?
    /// Digest of the snapshot that this one was made on, where there is one and it is sealed.
    public let parentDigest: Digest?
    /// The OCI image configuration, JSON.
    public let configuration: [UInt8]
    /// Where it came from: an import source, or `volume:NAME`.
    public let source: String
    /// URIs from which its chunks can be fetched, in the order in which to ask; empty when it is only local.
    public let sources: [String]
    /// It has a block map of its own; a snapshot of a volume gets one in the background.
    public let isSealed: Bool
    /// Why it cannot be used; nil when it can.
    public let brokenReason: String?

    /// Nothing of it has to be fetched; an image that is not sealed yet was made here.
    public var isWhole: Bool { (localBytes ?? 0) >= (dataBytes ?? 0) }
}

/// What the catalog knows of a volume.
public struct VolumeRecord: Sendable, Equatable {
    public let name: String
    /// Names the volume for as long as it lives; never used again.
    public let id: UInt64
    public let sizeBytes: UInt64
    /// Seconds since 1970.
    public let created: Int64
    /// The name that the parent snapshot had at the time of the clone; empty for a volume made of zeros.
    public let parentImage: String
    /// Digest of the parent snapshot's block map; nil until that is sealed, or without a parent.
    public let parentDigest: Digest?
    /// The OCI image configuration that the volume inherited, JSON; empty without a parent.
    public let configuration: [UInt8]
    /// Bytes of blocks that differ from the parent, zeroed ones included.
    public let dirtyBytes: UInt64
    /// It goes with the container that it was made for, and with the daemon at the latest.
    public let isEphemeral: Bool
    /// Who holds it; nil when nobody does.
    public let inUse: String?
    /// Why it cannot be used; nil when it can.
    public let brokenReason: String?
}

/// What the store takes and what it saves, for `df`.
public struct StoreUsage: Sendable, Equatable {
    public struct Image: Sendable, Equatable {
        public let name: String
        /// The length of the block file.
        public let logicalBytes: UInt64
        /// Bytes that are not holes.
        public let dataBytes: UInt64
        /// Of `dataBytes`, those that can be read without fetching.
        public let localBytes: UInt64
        /// Of `dataBytes`, those in chunks that no other image uses.
        public let uniqueBytes: UInt64
        /// Of `dataBytes`, those in chunks that another image uses too.
        public let sharedBytes: UInt64
    }

    public struct Volume: Sendable, Equatable {
        public let name: String
        public let logicalBytes: UInt64
        /// Bytes of blocks that differ from the parent.
        public let dirtyBytes: UInt64
        /// Disk space that the delta takes.
        public let allocatedBytes: UInt64
    }

    public let images: [Image]
    public let volumes: [Volume]
    /// Chunks in the store, each counted once.
    public let chunkCount: UInt64
    /// Plain bytes of those chunks.
    public let chunkBytes: UInt64
    /// Disk space that they take.
    public let chunkAllocatedBytes: UInt64
    /// Sum of `dataBytes` over the images, as if nothing were shared.
    public let referencedBytes: UInt64
    /// Disk space of all deltas, those of snapshots that are not yet sealed included.
    public let deltaAllocatedBytes: UInt64
}
