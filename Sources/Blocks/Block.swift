// SPDX-License-Identifier: Apache-2.0

/// The unit of addressing and of copy-on-write.
public enum Block {
    /// Bytes in a block; ext4's block size and the loop device's sector size are the same.
    public static let bytes = 4096
    /// Blocks in the largest chunk.
    public static let maximumPerChunk = 16
    /// Bytes in the largest chunk.
    public static let maximumChunkBytes = bytes * maximumPerChunk

    /// Blocks that it takes to hold so many bytes.
    public static func count(forBytes bytes: UInt64) -> UInt64 {
        bytes / UInt64(Self.bytes) + (bytes % UInt64(Self.bytes) == 0 ? 0 : 1)
    }
}

/// Consecutive blocks of one volume.
///
/// Block numbers have 32 bits, which is 16 TiB.
public struct BlockRange: Hashable, Sendable, CustomStringConvertible {
    public let start: UInt32
    public let count: UInt32

    public init(start: UInt32, count: UInt32) {
        precondition(UInt64(start) + UInt64(count) <= UInt64(UInt32.max), "a range ends within 32 bits")
        self.start = start
        self.count = count
    }

    /// The block after the last one.
    public var end: UInt32 { start + count }
    public var isEmpty: Bool { count == 0 }

    /// The blocks that both ranges hold; empty when there are none.
    public func intersection(_ other: BlockRange) -> BlockRange {
        let first = max(start, other.start)
        let last = min(end, other.end)
        return BlockRange(start: first, count: last > first ? last - first : 0)
    }

    public var description: String { "[\(start), \(end))" }
}
