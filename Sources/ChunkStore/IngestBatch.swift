// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// Up to 1 MiB of chunks on their way into an arena, in the order in which they were added.
final class IngestBatch: @unchecked Sendable {
    // Unchecked because: a batch is owned by one thread at a time, first the adding one, then one of the
    // pool.

    static let byteCount = 1 << 20

    struct Item {
        /// Where the chunk begins in the buffer.
        let offset: Int
        let blockCount: UInt8
        /// nil until it has been hashed.
        var digest: Digest?
        /// Place of the result among those of `addLater`; nil when nobody asks.
        let ticket: Int?

        var byteCount: Int { Int(blockCount) * Block.bytes }
    }

    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: Block.bytes)
    private(set) var used = 0
    private(set) var items: [Item] = []

    deinit {
        buffer.deallocate()
    }

    var isEmpty: Bool { items.isEmpty }

    func hasRoom(for byteCount: Int) -> Bool {
        used + byteCount <= Self.byteCount
    }

    func append(_ bytes: UnsafeRawBufferPointer, digest: Digest?, ticket: Int?) {
        UnsafeMutableRawBufferPointer(rebasing: buffer[used..<used + bytes.count]).copyMemory(from: bytes)
        let blocks = UInt8(bytes.count / Block.bytes)
        items.append(Item(offset: used, blockCount: blocks, digest: digest, ticket: ticket))
        used += bytes.count
    }

    func bytes(_ item: Item) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: buffer[item.offset..<item.offset + item.byteCount])
    }

    /// Computes the digests that are still missing.
    func hash() {
        for index in items.indices where items[index].digest == nil {
            items[index].digest = Digest(hashing: bytes(items[index]))
        }
    }

    func clear() {
        used = 0
        items.removeAll(keepingCapacity: true)
    }
}

/// True when every byte is zero.
func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
    guard let start = bytes.baseAddress else { return true }
    // Data that is not zero nearly always shows it in its first words.
    let words = bytes.count / 8
    var index = 0
    while index + 8 <= words {
        var sum: UInt64 = 0
        for word in index..<index + 8 {
            sum |= start.loadUnaligned(fromByteOffset: word * 8, as: UInt64.self)
        }
        if sum != 0 { return false }
        index += 8
    }
    return bytes[(index * 8)...].allSatisfy { $0 == 0 }
}
