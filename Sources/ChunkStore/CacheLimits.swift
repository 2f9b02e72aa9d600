// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// How much of the disk chunks may take that could be fetched again.
///
/// Chunks that no source has are not counted: nothing could be done about them.
public struct CacheLimits: Sendable, Equatable {
    /// Plain bytes of such chunks; nil: no limit.
    public var maximumBytes: UInt64?
    /// Bytes that are to stay free on the file system of the store; 0: it may become full.
    public var minimumFreeBytes: UInt64

    public init(maximumBytes: UInt64? = nil, minimumFreeBytes: UInt64 = 0) {
        self.maximumBytes = maximumBytes
        self.minimumFreeBytes = minimumFreeBytes
    }

    /// Where eviction stops: a sixteenth below the limit, so that it is not needed again at once.
    var targetBytes: UInt64? { maximumBytes.map { $0 - $0 / 16 } }
    var targetFreeBytes: UInt64 { minimumFreeBytes + min(minimumFreeBytes / 16, 64 << 20) }
}

/// The cache beside its limits, for `status` and metrics.
public struct CacheStatus: Sendable, Equatable {
    public var limits = CacheLimits()
    /// Plain bytes of chunks that are here and could be fetched again.
    public var cachedBytes: UInt64 = 0
    /// Plain bytes of chunks that are here and could not.
    public var pinnedBytes: UInt64 = 0
    /// Bytes that are free on the file system of the store; nil when it does not tell.
    public var freeBytes: UInt64?
    /// Chunks that were evicted since the store was opened, and their plain bytes.
    public var evictedChunks: UInt64 = 0
    public var evictedBytes: UInt64 = 0
    /// The limits are exceeded and nothing is left that may go.
    public var isStuck = false
}

extension ChunkStore {
    /// Bytes of the file system that holds a directory; nil when it does not tell.
    public static func capacityBytes(of directory: String) -> UInt64? {
        var figures = statvfs()
        guard statvfs(directory, &figures) == 0 else { return nil }
        return UInt64(figures.f_blocks) * UInt64(figures.f_frsize)
    }

    /// Bytes that the file system of a directory has left for us; nil when it does not tell.
    public static func freeBytes(of directory: String) -> UInt64? {
        var figures = statvfs()
        guard statvfs(directory, &figures) == 0 else { return nil }
        return UInt64(figures.f_bavail) * UInt64(figures.f_frsize)
    }
}
