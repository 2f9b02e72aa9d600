// SPDX-License-Identifier: Apache-2.0

import Base
public import Blocks

/// A block map whose chunks are all known to the store, present or absent, with a reference held on each.
///
/// Immutable and shared by everything that reads the same snapshot. An extent takes less than 13 bytes. Going
/// away drops the references; it frees nothing by itself (see `ChunkStore.collectUnreferenced`).
public final class ResidentMap: @unchecked Sendable {
    // Unchecked because: the buffers are filled before `init` returns and never change.

    /// Blocks in the volume.
    public let blockCount: UInt32
    /// Blocks that are not holes.
    public let mappedBlockCount: UInt64

    /// Chunks that are worth streaming before anybody asks, in the order of their bytes in the boot pack.
    public let bootChunks: [ChunkHandle]

    let store: ChunkStore
    private let slots: SlotTable
    private let descriptors: UnsafeMutablePointer<Int32>
    let extentCount: Int
    let extents: UnsafeMutablePointer<PackedExtent>
    /// For each 2^`guideShift` blocks, the last extent that starts at or before the first of them, or 0.
    ///
    /// A search over all extents would miss the processor's cache at each step; the guide leaves it a few
    /// neighbours. It has no more than one entry for eight extents, however large and empty the volume is.
    private let guide: UnsafeMutablePointer<UInt32>
    private let guideShift: UInt32
    private let guideCount: Int
    let presence = Lock(PresenceCount())
    /// Which of the references are pins.
    let pins: Lock<ChunkPins>

    /// - Parameters:
    ///   - chunkHandles: the handle of each chunk of the map, with one reference on each, which the new
    ///     object takes over.
    ///   - pins: those of the references that are pins, which it takes over too.
    init(
        _ map: BlockMap, chunkHandles: [UInt32], pins: ChunkPins, bootChunks: [ChunkHandle], store: ChunkStore
    ) {
        self.bootChunks = bootChunks
        self.pins = Lock(pins)
        self.store = store
        slots = store.core.slots
        descriptors = store.core.arenas.descriptors
        blockCount = map.blockCount
        extentCount = map.extents.count
        extents = .allocate(capacity: max(1, extentCount))
        var seen: UInt32 = 0
        var mapped: UInt64 = 0
        for (index, extent) in map.extents.enumerated() {
            let isFirst = extent.chunk == seen
            if isFirst { seen += 1 }
            (extents + index).initialize(
                to: PackedExtent(extent, handle: chunkHandles[Int(extent.chunk)], isFirstOfChunk: isFirst))
            mapped += UInt64(extent.count)
        }
        mappedBlockCount = mapped
        guideShift = Self.guideShift(blockCount: map.blockCount, extentCount: map.extents.count)
        guideCount = Int(map.blockCount >> guideShift) + 1
        guide = .allocate(capacity: guideCount)
        var extent = 0
        for place in 0..<guideCount {
            let block = UInt32(place) << guideShift
            while extent + 1 < extentCount, extents[extent + 1].start <= block { extent += 1 }
            (guide + place).initialize(to: UInt32(extent))
        }
    }

    private static func guideShift(blockCount: UInt32, extentCount: Int) -> UInt32 {
        var shift: UInt32 = 8
        while shift < 31, Int(blockCount >> shift) > extentCount / 8 { shift += 1 }
        return shift
    }

    deinit {
        let held = chunkHandles()
        let pinned = pins.withLock { $0 }
        extents.deallocate()
        guide.deallocate()
        let core = store.core
        core.reclaimer.addDrop { core.drop(held, pinned) }
    }

    public var sizeBytes: UInt64 { UInt64(blockCount) * UInt64(Block.bytes) }

    func chunkHandles() -> [UInt32] {
        var held: [UInt32] = []
        for index in 0..<extentCount where extents[index].isFirstOfChunk {
            held.append(extents[index].handle)
        }
        return held
    }

    /// Index of the first extent that ends after the block; `extentCount` when there is none.
    @inline(__always)
    func firstExtent(endingAfter block: UInt32) -> Int {
        // First the last extent that starts at or before the block.
        let place = min(Int(block >> guideShift), guideCount - 1)
        var base = Int(guide[place])
        var limit = place + 1 < guideCount ? Int(guide[place + 1]) + 1 : extentCount
        while limit - base > 1 {
            let middle = (base + limit) / 2
            if extents[middle].start <= block { base = middle } else { limit = middle }
        }
        return extentCount > 0 && extents[base].end <= block ? base + 1 : base
    }

    // MARK: The hot path

    /// Appends where the bytes of the range lie, in order; neighbours in one arena, and holes, become one
    /// segment.
    ///
    /// A piece of an absent chunk is a segment of its own. What lies beyond the end of the map reads as
    /// zeros. The segments are good until the end of the `ChunkStore.withStableSlots` that the call is made
    /// in. Takes no lock.
    public func appendSegments(for range: BlockRange, to segments: inout [Segment]) {
        var run = SegmentRun()
        var block = range.start
        var extent = firstExtent(endingAfter: block)
        while block < range.end {
            guard extent < extentCount, extents[extent].start < range.end else {
                run.addZeros(blocks: range.end - block, &segments)
                break
            }
            let piece = extents[extent]
            if piece.start > block {
                run.addZeros(blocks: piece.start - block, &segments)
                block = piece.start
            }
            let end = min(piece.end, range.end)
            let slot = slots.touching(piece.handle)
            if slot.isPresent {
                let first = slot.block + piece.offset + (block - piece.start)
                run.add(
                    descriptor: descriptors[slot.arena], firstBlock: first, blocks: end - block, &segments)
            } else {
                run.finish(&segments)
                Self.addAbsent(piece.handle, blocks: end - block, &segments)
            }
            block = end
            extent += 1
        }
        run.finish(&segments)
    }

    /// Apart from the loop, which is for chunks that are here.
    @inline(never)
    private static func addAbsent(_ handle: UInt32, blocks: UInt32, _ segments: inout [Segment]) {
        segments.append(
            Segment(source: .absent(ChunkHandle(index: handle)), byteCount: Int(blocks) * Block.bytes))
    }

    // MARK: Holes

    /// First block at or after `block` that is not a hole; nil when there is none.
    public func nextMapped(from block: UInt32) -> UInt32? {
        let extent = firstExtent(endingAfter: block)
        return extent < extentCount ? max(block, extents[extent].start) : nil
    }

    /// First block at or after `block` that is a hole, or the end of the volume.
    public func nextHole(from block: UInt32) -> UInt32 {
        var block = block
        var extent = firstExtent(endingAfter: block)
        while extent < extentCount, extents[extent].start <= block {
            block = extents[extent].end
            extent += 1
        }
        return block
    }

    // MARK: The map

    /// The map that was attached, built anew at each call: keep it rather than ask twice.
    public var map: BlockMap {
        let held = chunkHandles()
        let chunks = store.core.descriptors(of: held)
        var builder = BlockMapBuilder(blockCount: blockCount)
        let places = Dictionary(zip(held, chunks)) { first, _ in first }
        for index in 0..<extentCount {
            let extent = extents[index]
            guard let chunk = places[extent.handle] else { continue }
            builder.add(
                start: extent.start, chunk: chunk, offset: UInt8(extent.offset), count: UInt8(extent.count))
        }
        return builder.finish()
    }
}

/// An extent with the handle of its chunk, in twelve bytes that mostly lie in one line of the cache.
struct PackedExtent {
    /// First block in the volume.
    let start: UInt32
    /// The top bit marks the first extent of a chunk, which holds its reference.
    private let markedHandle: UInt32
    /// Bits 0-3: blocks less one; bits 4-7: first block within the chunk.
    private let span: UInt8

    init(_ extent: Extent, handle: UInt32, isFirstOfChunk: Bool) {
        start = extent.start
        markedHandle = handle | (isFirstOfChunk ? 1 << 31 : 0)
        span = extent.offset << 4 | (extent.count - 1)
    }

    var handle: UInt32 { markedHandle & ~(1 << 31) }
    var isFirstOfChunk: Bool { markedHandle >> 31 == 1 }
    var count: UInt32 { UInt32(span & 15) + 1 }
    var offset: UInt32 { UInt32(span >> 4) }
    var end: UInt32 { start + count }
}

/// The segment that is growing while a range is walked.
private struct SegmentRun {
    /// -1: zeros.
    private var descriptor: Int32 = -1
    private var nextBlock: UInt32 = 0
    private var blocks: UInt32 = 0

    @inline(__always)
    mutating func add(descriptor: Int32, firstBlock: UInt32, blocks: UInt32, _ segments: inout [Segment]) {
        if self.blocks > 0 && (self.descriptor != descriptor || nextBlock != firstBlock) { finish(&segments) }
        self.descriptor = descriptor
        self.blocks += blocks
        nextBlock = firstBlock + blocks
    }

    @inline(__always)
    mutating func addZeros(blocks: UInt32, _ segments: inout [Segment]) {
        if self.blocks > 0 && descriptor >= 0 { finish(&segments) }
        descriptor = -1
        self.blocks += blocks
    }

    @inline(__always)
    mutating func finish(_ segments: inout [Segment]) {
        if blocks == 0 { return }
        let source: Segment.Source =
            descriptor < 0
            ? .zeros
            : .file(descriptor: descriptor, offset: UInt64(nextBlock - blocks) * UInt64(Block.bytes))
        segments.append(Segment(source: source, byteCount: Int(blocks) * Block.bytes))
        blocks = 0
    }
}
