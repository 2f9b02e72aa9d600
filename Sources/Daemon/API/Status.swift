// SPDX-License-Identifier: Apache-2.0

/// What `GET /v1/status` answers.
public struct StatusInfo: Codable, Equatable, Sendable {
    public let version: String
    public let process: Int32
    public let root: String
    public let run: String
    public let uptimeSeconds: Double
    public let images: Int
    public let volumes: Int
    public let mounts: [MountInfo]
    public let containers: [ContainerInfo]
    /// Operations that are running.
    public let operations: [OperationInfo]
    /// Resident memory of the daemon.
    public let residentBytes: UInt64
    public let fetching: FetchInfo
    public let cache: CacheInfo
    /// Images that are being filled or wait for that.
    public let fills: [FillInfo]
    public let scrub: ScrubInfo
    /// Images whose blocks come when they are read, and that are not whole.
    public let lazyImages: [ImageInfo]
}

/// Chunks that could be fetched again, beside the limits of the cache; part of `GET /v1/status`.
public struct CacheInfo: Codable, Equatable, Sendable {
    /// Bytes of such chunks, and those that they may take; absent: no limit.
    public let cachedBytes: UInt64
    public let maximumBytes: UInt64?
    /// Bytes of chunks that no source has: they stay.
    public let pinnedBytes: UInt64
    /// Bytes that are free on the disk, and those that are to stay so.
    public let freeBytes: UInt64?
    public let minimumFreeBytes: UInt64
    /// Since the daemon started.
    public let evictedChunks: UInt64
    public let evictedBytes: UInt64
    /// A limit is exceeded, and nothing is left that may go.
    public let isStuck: Bool
}

/// What `DELETE` and other requests without a result answer.
public struct Done: Codable, Equatable, Sendable {
    public init() {}
}

/// The version of the program and of the control API's paths.
public enum Version {
    public static let program = "0.1.0"
    public static let api = "v1"
}
