// SPDX-License-Identifier: Apache-2.0

/// An image, as lists show it.
public struct ImageInfo: Codable, Equatable, Sendable {
    public let name: String
    /// Digest of the block map, `sha256:…`; absent until a snapshot of a volume is sealed.
    public let digest: String?
    /// UTC, `2026-01-31T12:00:00Z`.
    public let created: String
    /// Length of the block file in bytes.
    public let sizeBytes: UInt64
    /// Bytes that are not holes; absent until the snapshot is sealed.
    public let dataBytes: UInt64?
    /// Of those, the ones that can be read without fetching.
    public let localBytes: UInt64?
    /// The import source, the reference it was pulled from, or `volume:NAME`.
    public let source: String
    /// Why it cannot be used; absent when it can.
    public let broken: String?
}

/// Everything about an image or volume that `inspect` shows.
public struct Inspection: Codable, Equatable, Sendable {
    /// `image` or `volume`.
    public let kind: String
    public let name: String
    public let digest: String?
    /// Digest of the block map that this one was made on.
    public let parentDigest: String?
    public let created: String
    public let sizeBytes: UInt64
    public let dataBytes: UInt64?
    /// Of `dataBytes`, those in chunks that no other image uses.
    public let uniqueBytes: UInt64?
    /// Of `dataBytes`, those in chunks that other images use too.
    public let sharedBytes: UInt64?
    /// Of `dataBytes`, those that can be read without fetching.
    public var localBytes: UInt64?
    /// Where chunks can be fetched from; secrets are no part of it.
    public var sources: [String]?
    /// Packs that the chunks lie in, and the bytes of them that the image uses.
    public var packs: Int?
    public var packedBytes: UInt64?
    /// The recorded start of a container.
    public var profile: ProfileInfo?
    /// Different chunks.
    public let chunkCount: UInt64?
    /// For a volume: bytes of blocks that differ from the parent.
    public let dirtyBytes: UInt64?
    public let source: String
    public let configuration: Configuration

    /// The part of the OCI image configuration that tells how to run a container.
    public struct Configuration: Codable, Equatable, Sendable {
        public let platform: String?
        public let entrypoint: [String]
        public let command: [String]
        public let environment: [String]
        public let user: String
        public let workingDirectory: String
        public let labels: [String: String]
        /// Digests of the uncompressed layers, lowest first.
        public let layers: [String]
    }
}

/// One line of a file listing.
public struct FileEntry: Codable, Equatable, Sendable {
    /// Absolute path in the image; bytes that are not UTF-8 appear as U+FFFD.
    public let path: String
    /// Type and permissions, as st_mode has them.
    public let mode: UInt32
    public let owner: UInt32
    public let group: UInt32
    public let sizeBytes: UInt64
    public let links: UInt32
    /// UTC, to the second.
    public let modified: String
    /// Target of a symbolic link.
    public let target: String?
}

/// What `POST /v1/imports` takes.
public struct ImportRequest: Codable, Sendable {
    public let source: String
    public let name: String
    /// `os/architecture[/variant]`; absent for this machine's.
    public let platform: String?

    public init(source: String, name: String, platform: String?) {
        self.source = source
        self.name = name
        self.platform = platform
    }
}
