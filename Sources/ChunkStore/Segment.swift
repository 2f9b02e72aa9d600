// SPDX-License-Identifier: Apache-2.0

/// Where the bytes of a piece of a volume lie.
public struct Segment: Sendable, Equatable {
    public enum Source: Sendable, Equatable {
        /// Nothing is stored; the bytes are zeros.
        case zeros
        /// Bytes of an open file from `offset` on; valid inside `ChunkStore.withStableSlots` only.
        case file(descriptor: Int32, offset: UInt64)
        /// Bytes of a chunk that is known but not here: they have to be fetched before they can be read.
        case absent(ChunkHandle)
    }

    public let source: Source
    public let byteCount: Int

    @inlinable
    public init(source: Source, byteCount: Int) {
        self.source = source
        self.byteCount = byteCount
    }
}

/// A chunk that the store knows, present or absent; valid while somebody holds a reference on it.
public struct ChunkHandle: Hashable, Sendable {
    public let index: UInt32
}

/// Figures of the whole store, for `df` and metrics.
public struct ChunkStoreStatistics: Sendable, Equatable {
    /// Chunks that are stored.
    public var chunks = 0
    /// Plain bytes of those chunks: what the store holds, each chunk once.
    public var plainBytes: UInt64 = 0
    /// Those of them that could be fetched again.
    public var cachedBytes: UInt64 = 0
    /// Chunks that are known but absent, and their plain bytes.
    public var absentChunks = 0
    public var absentBytes: UInt64 = 0
    /// Packs in which known chunks lie.
    public var packs = 0
    /// Bytes that the arena files really take on their file system.
    public var allocatedBytes: UInt64 = 0
    /// References that resident maps and sessions hold.
    public var references: UInt64 = 0
    /// Chunks that nothing refers to at the moment; `collectUnreferenced` frees them.
    public var unreferencedChunks = 0
    /// Arena files.
    public var arenas = 0
    /// Bytes of the index log.
    public var indexBytes: UInt64 = 0
}
