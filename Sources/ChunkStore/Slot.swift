// SPDX-License-Identifier: Apache-2.0

import Blocks
import Synchronization

/// Where a chunk lies: an arena, the first block in it and the number of blocks, in one word.
///
/// Bits 0-3 hold the count less one, 4-23 the block, 24-39 the arena's place in the table of open arenas; bit
/// 63 says that the chunk is present, bit 62 that it is known but absent, and then only the count means
/// anything. Bit 61 belongs to the table of slots.
struct Slot: Equatable {
    static let none = Slot(word: 0)
    /// Set in the table when somebody reads the chunk, and cleared by the clock of the cache.
    static let touchedBit: UInt64 = 1 << 61

    let word: UInt64

    init(word: UInt64) {
        self.word = word
    }

    init(arena: Int, block: UInt32, count: UInt8) {
        assert(arena < Arena.limit && block < Arena.maximumBlocks, "a slot lies in an arena")
        assert((1...Block.maximumPerChunk).contains(Int(count)), "a slot has 1 to 16 blocks")
        word = 1 << 63 | UInt64(arena) << 24 | UInt64(block) << 4 | UInt64(count - 1)
    }

    /// The word of a chunk that is known but not here.
    static func absent(count: UInt8) -> Slot {
        assert((1...Block.maximumPerChunk).contains(Int(count)), "a chunk has 1 to 16 blocks")
        return Slot(word: 1 << 62 | UInt64(count - 1))
    }

    @inline(__always) var isPresent: Bool { Int64(bitPattern: word) < 0 }
    var isAbsent: Bool { word >> 62 == 1 }
    var arena: Int { Int(word >> 24 & 0xFFFF) }
    var block: UInt32 { UInt32(truncatingIfNeeded: word >> 4) & 0xF_FFFF }
    var count: UInt8 { UInt8(truncatingIfNeeded: word & 15) + 1 }
    var offset: UInt64 { UInt64(block) * UInt64(Block.bytes) }
    var byteCount: Int { Int(count) * Block.bytes }
}

/// The slot of every chunk by its handle, readable without a lock.
///
/// Memory is taken in segments that never move, so a reader needs no more than two loads. Writers hold the
/// lock of the chunk table.
final class SlotTable: @unchecked Sendable {
    // Unchecked because: a segment's pointer is set once, before any handle into it is given out, and the
    // words are atomic.
    static let segmentBits: UInt32 = 15
    static let segmentCount = 1 << segmentBits
    private static let maximumSegments = 1 << 16

    typealias Segment = UnsafeMutablePointer<Atomic<UInt64>>
    private let segments: UnsafeMutablePointer<Segment?>

    init() {
        segments = .allocate(capacity: Self.maximumSegments)
        segments.initialize(repeating: nil, count: Self.maximumSegments)
    }

    deinit {
        for index in 0..<Self.maximumSegments {
            guard let segment = segments[index] else { break }
            segment.deallocate()
        }
        segments.deallocate()
    }

    /// The slot of a handle on which the caller holds a reference.
    @inline(__always)
    subscript(handle: UInt32) -> Slot {
        guard let segment = segments[Int(handle >> Self.segmentBits)] else { return .none }
        let word = segment[Int(handle & (1 << Self.segmentBits - 1))].load(ordering: .acquiring)
        return Slot(word: word & ~Slot.touchedBit)
    }

    /// The slot of a handle whose chunk is about to be read.
    ///
    /// Only the first reader after the clock has passed writes, so that readers do not fight for the word.
    @inline(__always)
    func touching(_ handle: UInt32) -> Slot {
        guard let segment = segments[Int(handle >> Self.segmentBits)] else { return .none }
        let place = segment + Int(handle & (1 << Self.segmentBits - 1))
        let word = place.pointee.load(ordering: .acquiring)
        if word & Slot.touchedBit == 0 { touch(place) }
        return Slot(word: word & ~Slot.touchedBit)
    }

    @inline(never)
    private func touch(_ place: UnsafeMutablePointer<Atomic<UInt64>>) {
        // Should the chunk go meanwhile, the mark on the new word means nothing.
        place.pointee.bitwiseOr(Slot.touchedBit, ordering: .relaxed)
    }

    /// Clears the mark of a chunk; true when it was set.
    func takeTouch(_ handle: UInt32) -> Bool {
        guard let segment = segments[Int(handle >> Self.segmentBits)] else { return false }
        let place = segment + Int(handle & (1 << Self.segmentBits - 1))
        let old = place.pointee.bitwiseAnd(~Slot.touchedBit, ordering: .relaxed).oldValue
        return old & Slot.touchedBit != 0
    }

    /// Sets a slot, making its segment when it is the first one there; the lock of the chunk table is held.
    func set(_ handle: UInt32, _ slot: Slot, isTouched: Bool = false) {
        let index = Int(handle >> Self.segmentBits)
        precondition(index < Self.maximumSegments, "more chunks than handles")
        let segment = segments[index] ?? makeSegment(index)
        let word = isTouched ? slot.word | Slot.touchedBit : slot.word
        segment[Int(handle & (1 << Self.segmentBits - 1))].store(word, ordering: .releasing)
    }

    private func makeSegment(_ index: Int) -> Segment {
        let segment = Segment.allocate(capacity: Self.segmentCount)
        for place in 0..<Self.segmentCount { (segment + place).initialize(to: Atomic(0)) }
        segments[index] = segment
        return segment
    }
}
