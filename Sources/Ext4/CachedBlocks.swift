// SPDX-License-Identifier: Apache-2.0

public import Blocks

/// Keeps the last blocks that were read one by one: the inodes of a directory share theirs.
///
/// For one thread at a time.
public final class CachedBlocks: BlockReader {
    private static let limit = 1024

    private let source: any BlockReader
    private var kept: [UInt32: [UInt8]] = [:]

    public init(_ source: any BlockReader) { self.source = source }

    public func read(block: UInt32) throws -> [UInt8] {
        if let bytes = kept[block] { return bytes }
        let bytes = try source.read(block: block)
        if kept.count >= Self.limit { kept.removeAll(keepingCapacity: true) }
        kept[block] = bytes
        return bytes
    }

    public func read(blocks: BlockRange) throws -> [UInt8] { try source.read(blocks: blocks) }
}
