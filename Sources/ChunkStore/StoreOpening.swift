// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// A set of an arena's blocks.
struct BlockSet {
    private var words: [UInt64]

    init(blockCount: UInt32) {
        words = [UInt64](repeating: 0, count: Int(blockCount) / 64 + 1)
    }

    mutating func insert(_ range: Range<UInt32>) {
        for block in range { words[Int(block / 64)] |= 1 << UInt64(block % 64) }
    }

    func contains(_ block: UInt32) -> Bool {
        words[Int(block / 64)] >> UInt64(block % 64) & 1 == 1
    }

    /// The ranges of blocks of this set that are not in the other one, which is as long.
    func ranges(without other: BlockSet) -> [Range<UInt32>] {
        var result: [Range<UInt32>] = []
        var start: UInt32?
        for word in words.indices {
            let rest = words[word] & ~other.words[word]
            if rest == 0 && start == nil || rest == .max && start != nil { continue }
            for bit in UInt32(0)..<64 {
                let block = UInt32(word) * 64 + bit
                if rest >> UInt64(bit) & 1 == 1 {
                    if start == nil { start = block }
                } else if let first = start {
                    result.append(first..<block)
                    start = nil
                }
            }
        }
        if let first = start { result.append(first..<UInt32(words.count * 64)) }
        return result
    }
}

/// Builds the chunk table from the index and checks it against what the arenas hold.
///
/// A record is believed when it is intact, lies within its arena, overlaps no other and when the file system
/// has data for its blocks: a slot that was punched is known by its hole. Where only some of the blocks are
/// holes the digest decides: a copy made by `cp --sparse` or `rsync -S` has holes for blocks of zeros.
struct StoreOpening {
    struct Result {
        let table: ChunkTable
        let leaked: [FreedBlocks]
        let report: StoreCore.OpenReport
    }

    private struct Place {
        let arena: Arena
        let blockCount: UInt32
        var live: BlockSet
        var data: BlockSet
    }

    private let table = ChunkTable()
    private var placeOfNumber: [UInt32: Int] = [:]
    private var places: [Int: Place] = [:]
    private var unbacked: Set<Digest> = []
    private var nextNumber: UInt32 = 0

    static func run(_ log: IndexLog, _ arenas: ArenaSet) throws(ChunkStoreError) -> Result {
        var opening = StoreOpening()
        try opening.survey(arenas)
        let replay = try log.replay { opening.apply($0) }
        arenas.reserveNumbers(below: max(opening.nextNumber, log.header.nextArena))
        let liveBlocks = opening.checkSlots()
        for (place, blocks) in liveBlocks { arenas.addLive(blocks, in: place) }
        let leaked = opening.leaks(liveBlocks)
        let report = StoreCore.OpenReport(
            records: replay.records, droppedIndexBytes: replay.droppedBytes,
            unbackedChunks: opening.unbacked.count,
            leakedBlocks: leaked.reduce(0) { $0 + UInt64($1.count) })
        return Result(table: opening.table, leaked: leaked, report: report)
    }

    private mutating func survey(_ arenas: ArenaSet) throws(ChunkStoreError) {
        for arena in arenas.all {
            do throws(SystemError) {
                let size = try arena.file.size() / UInt64(Block.bytes)
                let count = UInt32(clamping: min(size, UInt64(Arena.maximumBlocks)))
                var data = BlockSet(blockCount: count)
                for range in try arena.dataRanges() { data.insert(range) }
                placeOfNumber[arena.number] = arena.index
                places[arena.index] = Place(
                    arena: arena, blockCount: count, live: BlockSet(blockCount: count), data: data)
            } catch {
                throw ChunkStoreError(error)
            }
        }
    }

    private mutating func apply(_ record: IndexRecord) {
        if record.arena < .max { nextNumber = max(nextNumber, record.arena + 1) }
        switch record.kind {
        case .add:
            guard let index = placeOfNumber[record.arena], let place = places[index],
                UInt64(record.block) + UInt64(record.blockCount) <= UInt64(place.blockCount)
            else {
                // Nothing is wrong yet: an arena that is gone has its free records further on.
                unbacked.insert(record.digest)
                return
            }
            unbacked.remove(record.digest)
            if let old = table.find(record.digest) { forget(old) }
            let slot = Slot(arena: index, block: record.block, count: record.blockCount)
            _ = table.insert(record.digest, slot, .indexed)
        case .free:
            unbacked.remove(record.digest)
            guard let handle = table.find(record.digest), let index = placeOfNumber[record.arena],
                table.slots[handle].arena == index, table.slots[handle].block == record.block
            else { return }
            forget(handle)
        }
    }

    private func forget(_ handle: UInt32) {
        table.hide(handle)
        table.recycle(handle)
    }

    /// Drops chunks whose slot has no data or overlaps another one; returns the live blocks of each arena.
    private mutating func checkSlots() -> [Int: UInt64] {
        var handles: [UInt32] = []
        handles.reserveCapacity(table.count)
        table.forEach { handles.append($0) }
        var liveBlocks: [Int: UInt64] = [:]
        for handle in handles {
            let slot = table.slots[handle]
            let range = slot.block..<slot.block + UInt32(slot.count)
            if isSound(slot, range, table.digest(of: handle)) {
                places[slot.arena]?.live.insert(range)
                liveBlocks[slot.arena, default: 0] += UInt64(slot.count)
                table.listUnreferenced(handle)
            } else {
                unbacked.insert(table.digest(of: handle))
                forget(handle)
            }
        }
        return liveBlocks
    }

    private func isSound(_ slot: Slot, _ range: Range<UInt32>, _ digest: Digest) -> Bool {
        guard let place = places[slot.arena], !range.contains(where: place.live.contains) else {
            return false
        }
        let backed = range.count(where: place.data.contains)
        return backed == range.count || (backed > 0 && isIntact(slot, place.arena, digest))
    }

    /// Checks a chunk by its digest, and fills its holes, so that the next start need not read it.
    private func isIntact(_ slot: Slot, _ arena: Arena, _ digest: Digest) -> Bool {
        guard let bytes = try? arena.file.read(count: slot.byteCount, at: slot.offset),
            bytes.count == slot.byteCount, Digest(hashing: bytes) == digest
        else { return false }
        // Best effort: the chunk is right with its holes too.
        try? arena.file.write(bytes, at: slot.offset)
        return true
    }

    /// Stretches that hold data of no chunk; all of an arena that has no chunk, so that it is deleted.
    private func leaks(_ liveBlocks: [Int: UInt64]) -> [FreedBlocks] {
        places.flatMap { index, place -> [FreedBlocks] in
            if liveBlocks[index] == nil {
                return [FreedBlocks(arena: index, start: 0, count: max(1, place.blockCount))]
            }
            return place.data.ranges(without: place.live).map {
                FreedBlocks(arena: index, start: $0.lowerBound, count: $0.upperBound - $0.lowerBound)
            }
        }
    }
}
