// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// Chunks of a map in the order of their packs, fetched by and by: a fill, a boot stream, or read-ahead.
///
/// Guarded by the lock of the board, but for what never changes.
final class Walk: @unchecked Sendable {
    // Unchecked because: variables are only touched under the lock of the board.
    struct Entry {
        let handle: UInt32
        /// Index into `packs`.
        let pack: Int32
        let offset: UInt64
        let byteCount: Int32
        let coding: PackDirectory.Coding
    }

    /// How a walk ends.
    enum Kind {
        /// Once through; what fails is left to those who want it.
        case once
        /// Until all is present.
        case complete
    }

    let id: UInt64
    let map: ResidentMap
    let owner: UInt64
    let `class`: FetchClass
    let kind: Kind
    let entries: [Entry]
    let packs: [FetchPack]
    let totalBytes: UInt64
    let progress: (@Sendable (FillProgress) -> Void)?
    let latest: Monitor<FillProgress>?
    private let slots: SlotTable
    private let packStarts: [ObjectIdentifier: Range<Int>]

    var isPaused = false
    /// Requests of its own under way.
    var requests = 0
    /// The next entry to look at, and where it began: it goes round once.
    private var cursor = 0
    private var remaining: Int
    /// Something behind the cursor was not had.
    var mustRescan = false
    private var trials: [UInt32: Int] = [:]
    /// Chunks that no source has whole.
    private(set) var hopeless: Set<UInt32> = []
    /// How often chunks had been evicted when the walk began.
    let evictions: UInt64
    var lastReport = MonotonicTime(nanoseconds: 0)
    var isCancelled = false
    private var lastSeek = MonotonicTime.now

    init(
        id: UInt64, map: ResidentMap, owner: UInt64, class: FetchClass, kind: Kind, list: PlacedChunks,
        store: ChunkStore, progress: (@Sendable (FillProgress) -> Void)? = nil,
        latest: Monitor<FillProgress>? = nil
    ) {
        self.id = id
        self.map = map
        self.owner = owner
        self.class = `class`
        self.kind = kind
        self.progress = progress
        self.latest = latest
        entries = list.entries
        packs = list.packs
        slots = store.core.slots
        evictions = store.core.evictor.evictions
        totalBytes = entries.reduce(0) { $0 + UInt64($1.byteCount) }
        remaining = entries.count
        var starts: [ObjectIdentifier: Range<Int>] = [:]
        var first = 0
        for index in entries.indices
        where index + 1 == entries.count || entries[index + 1].pack != entries[index].pack {
            starts[ObjectIdentifier(packs[Int(entries[index].pack)])] = first..<index + 1
            first = index + 1
        }
        packStarts = starts
    }

    // MARK: Finding entries

    /// The entry that holds the byte of the pack, or the first one behind it.
    func index(in pack: FetchPack, at offset: UInt64) -> Int? {
        guard let range = packStarts[ObjectIdentifier(pack)] else { return nil }
        var low = range.lowerBound
        var high = range.upperBound
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].offset + UInt64(entries[middle].byteCount) > offset {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return low < range.upperBound ? low : nil
    }

    /// The entry of which the first byte is this one.
    func entry(in pack: FetchPack, startingAt offset: UInt64) -> Entry? {
        guard let index = index(in: pack, at: offset), entries[index].offset == offset else { return nil }
        return entries[index]
    }

    func place(of entry: Entry) -> ChunkPlace {
        ChunkPlace(
            pack: packs[Int(entry.pack)].info, offset: entry.offset, byteCount: Int(entry.byteCount),
            coding: entry.coding, sources: [])
    }

    // MARK: Going on

    /// Goes on from here, once around.
    func seek(_ index: Int) {
        cursor = index
        remaining = entries.count
        mustRescan = false
        lastSeek = .now
    }

    /// Nothing was found to do for a while.
    func isFruitless(_ now: MonotonicTime) -> Bool { now.seconds(since: lastSeek) > 0.5 }

    /// The chunk could not be had this time.
    /// - Parameter counts: it was for a reason that lies in the chunk or its pack; after six of these nobody
    ///   tries any more.
    func giveBack(_ index: Int, counts: Bool) {
        mustRescan = true
        guard counts else { return }
        let handle = entries[index].handle
        trials[handle, default: 0] += 1
        if trials[handle, default: 0] >= 6 { hopeless.insert(handle) }
    }

    func giveUp(_ index: Int) {
        hopeless.insert(entries[index].handle)
    }

    /// The next absent chunk that nobody fetches; nil when there is none before the end.
    func next(_ isFree: (UInt32) -> Bool) -> Int? {
        while remaining > 0 {
            if isWanted(cursor, isFree) { return cursor }
            advance()
        }
        return nil
    }

    /// Passes over the chunks of the pack that is next.
    func skipPack() {
        let pack = entries[cursor].pack
        while remaining > 0, entries[cursor].pack == pack { advance() }
        mustRescan = true
    }

    /// Takes the chunk that is next and those behind it that make one range with it.
    func takeRun(maximumBytes: UInt64, gapBytes: UInt64, _ isFree: (UInt32) -> Bool) -> [Int] {
        var run: [Int] = []
        let first = entries[cursor]
        var end = first.offset
        while remaining > 0 {
            let entry = entries[cursor]
            let entryEnd = entry.offset + UInt64(entry.byteCount)
            guard entry.pack == first.pack, entry.offset >= end, entry.offset - end <= gapBytes,
                run.isEmpty || entryEnd - first.offset <= maximumBytes
            else { break }
            if isWanted(cursor, isFree) {
                run.append(cursor)
                end = entryEnd
            }
            advance()
        }
        return run
    }

    var isThrough: Bool { remaining == 0 }

    private func isWanted(_ index: Int, _ isFree: (UInt32) -> Bool) -> Bool {
        let handle = entries[index].handle
        return !slots[handle].isPresent && !hopeless.contains(handle) && isFree(handle)
    }

    private func advance() {
        remaining -= 1
        cursor = cursor + 1 == entries.count ? 0 : cursor + 1
    }

    /// Absent chunks that are not hopeless.
    var hasAbsent: Bool {
        entries.contains { !slots[$0.handle].isPresent && !hopeless.contains($0.handle) }
    }

    func measure(_ state: FillProgress.State) -> FillProgress {
        var figures = FillProgress()
        figures.state = state
        figures.totalBytes = totalBytes
        figures.totalChunks = entries.count
        for entry in entries where slots[entry.handle].isPresent {
            figures.presentChunks += 1
            figures.presentBytes += UInt64(entry.byteCount)
        }
        return figures
    }
}

/// Chunks with their places, sorted by pack and offset, before they become a walk.
struct PlacedChunks {
    var entries: [Walk.Entry] = []
    var packs: [FetchPack] = []
    /// Chunks of which nobody knows a place.
    var homeless: [UInt32] = []
}
