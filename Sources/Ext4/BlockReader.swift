// SPDX-License-Identifier: Apache-2.0

public import Blocks

/// Where the reader gets blocks from.
public protocol BlockReader {
    /// The 4096 bytes of a block; the caller asks only for blocks that the superblock says are there.
    func read(block: UInt32) throws -> [UInt8]

    /// The bytes of blocks that follow each other, for file data; some readers have a faster way than one by one.
    func read(blocks: BlockRange) throws -> [UInt8]
}

extension BlockReader {
    public func read(blocks: BlockRange) throws -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Int(blocks.count) * Block.bytes)
        for block in blocks.start..<blocks.end { bytes += try read(block: block) }
        return bytes
    }
}
