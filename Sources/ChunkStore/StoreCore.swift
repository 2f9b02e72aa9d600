// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Synchronization

/// What the store, its sessions, its resident maps and its background thread share.
///
/// Order of locks: index before table; the arenas' own locks are innermost.
final class StoreCore: Sendable {
    let directory: String
    let hooks: StoreHooks
    let arenas: ArenaSet
    let table: Lock<ChunkTable>
    let index: Lock<IndexLog>
    let stability = ReadWriteLock()
    let slots: SlotTable
    let reclaimer = Reclaimer()
    let fetched = FetchedChunks()
    let evictor = Evictor()
    /// Grows whenever a chunk becomes present or absent: what was counted before may be wrong afterwards.
    let changes = Atomic<UInt64>(0)
    /// Stretches that hold bytes of no chunk, found when the store was opened; the first collection frees
    /// them.
    let leaked: Lock<[FreedBlocks]>
    let openReport: OpenReport

    /// What opening found that a person may want to know.
    struct OpenReport: Equatable, Sendable {
        var records = 0
        /// Bytes of the index behind its last intact record.
        var droppedIndexBytes: UInt64 = 0
        /// Records whose data is not there.
        var unbackedChunks = 0
        /// Blocks that hold data of no chunk: what unfinished sessions left.
        var leakedBlocks: UInt64 = 0
    }

    init(directory: String, hooks: StoreHooks) throws(ChunkStoreError) {
        self.directory = directory
        self.hooks = hooks
        do throws(SystemError) {
            try Directories.create(directory)
            arenas = try ArenaSet(directory: directory + "/arenas")
        } catch {
            throw ChunkStoreError(error)
        }
        let log = try IndexLog(path: directory + "/index.log", mayCreate: arenas.isEmpty, hooks: hooks)
        let opened = try StoreOpening.run(log, arenas)
        table = Lock(opened.table)
        slots = opened.table.slots
        index = Lock(log)
        leaked = Lock(opened.leaked)
        openReport = opened.report
        if opened.report.droppedIndexBytes > 0 || opened.report.unbackedChunks > 0 {
            Log.warning(
                "chunks", "the chunk index was repaired",
                [
                    "path": "\(directory)", "droppedBytes": "\(opened.report.droppedIndexBytes)",
                    "unbackedChunks": "\(opened.report.unbackedChunks)",
                ])
        }
        // Records that are not believed must not come up again at each start.
        compactIfMostlyDead(orForced: openReport.unbackedChunks > 0)
    }

    // MARK: References

    /// Drops references; chunks that never got into the index, and absent ones, go at once, others wait for a
    /// collection.
    /// - Parameter pins: those of the references that are pins.
    func drop(_ handles: [UInt32], _ pins: ChunkPins) {
        unpin(pins.among(handles))
        var abandoned: [UInt32] = []
        for start in stride(from: 0, to: handles.count, by: Self.batch) {
            table.withLock { table in
                for handle in handles[start..<min(start + Self.batch, handles.count)]
                where table.release(handle) {
                    if !table.flags(of: handle).isDisjoint(with: [.indexed, .pending]) {
                        table.listUnreferenced(handle)
                    } else {
                        table.hide(handle)
                        abandoned.append(handle)
                    }
                }
            }
        }
        reclaim(abandoned)
    }

    /// Handles looked at in one go under the table's lock, so that nobody waits for long.
    static let batch = 8192

    /// Gives the slots of hidden chunks back, in the background.
    func reclaim(_ handles: [UInt32]) {
        if handles.isEmpty { return }
        let freed = handles.compactMap { slots[$0].isPresent ? FreedBlocks(slots[$0]) : nil }
        reclaimer.add { [self] in
            if !freed.isEmpty { free(freed, wereLive: true) }
            table.withLock { table in
                for handle in handles { table.recycle(handle) }
            }
        }
    }

    /// Punches holes, after every reader that might still use the slots has finished.
    func free(_ blocks: [FreedBlocks], wereLive: Bool) {
        stability.writing {}
        do throws(SystemError) {
            try arenas.free(blocks, wereLive: wereLive)
        } catch {
            Log.error("chunks", "space could not be given back", ["error": "\(error)"])
        }
    }

    // MARK: Collection

    /// Frees every chunk that nothing refers to: index first, then readers, then space.
    func collect() -> (chunks: Int, bytes: UInt64) {
        reclaimer.finishDrops()
        let handles = index.withLock { log -> [UInt32] in
            if log.hasFailed { return [] }
            let (records, handles) = takeUnreferenced()
            do throws(ChunkStoreError) {
                if !records.isEmpty { try log.append(records) }
                return handles
            } catch {
                // The log on the disk still names the slots, so they stay taken and wait for the next
                // collection.
                Log.error("chunks", "chunks could not be freed", ["error": "\(error)"])
                table.withLock { table in
                    for handle in handles { table.unhide(handle) }
                }
                return []
            }
        }
        let blocks = handles.reduce(UInt64(0)) { $0 + UInt64(slots[$1].count) }
        reclaim(handles)
        let leftovers = leaked.withLock { leaked in
            defer { leaked = [] }
            return leaked
        }
        if !leftovers.isEmpty {
            reclaimer.add { [self] in free(leftovers, wereLive: false) }
        }
        if !handles.isEmpty { compactIfMostlyDead() }
        return (handles.count, blocks * UInt64(Block.bytes))
    }

    private func takeUnreferenced() -> ([IndexRecord], [UInt32]) {
        let numbers = arenaNumbers()
        return table.withLock { table in
            let handles = table.takeUnreferenced()
            // A fetched chunk that waits for its record has none that would have to be undone.
            let indexed = handles.filter { table.flags(of: $0).contains(.indexed) }
            let records = indexed.map { record(.free, $0, table, numbers) }
            for handle in handles { table.hide(handle) }
            return (records, handles)
        }
    }

    /// Arena numbers by place.
    func arenaNumbers() -> [Int: UInt32] {
        Dictionary(arenas.all.map { ($0.index, $0.number) }) { first, _ in first }
    }

    func record(
        _ kind: IndexRecord.Kind, _ handle: UInt32, _ table: ChunkTable, _ numbers: [Int: UInt32]
    ) -> IndexRecord {
        let slot = table.slots[handle]
        return IndexRecord(
            kind: kind, digest: table.digest(of: handle), arena: numbers[slot.arena] ?? .max,
            block: slot.block,
            blockCount: slot.count)
    }

    /// Writes the index anew when that halves it at least; failing to only costs space.
    func compactIfMostlyDead(orForced forced: Bool = false) {
        index.withLock { log in
            guard !log.hasFailed, forced || log.isMostlyDead(live: table.withLock { $0.count }) else {
                return
            }
            let numbers = arenaNumbers()
            let records = table.withLock { table in
                var records: [IndexRecord] = []
                records.reserveCapacity(table.count)
                table.forEach { handle in
                    guard table.flags(of: handle).contains(.indexed) else { return }
                    records.append(record(.add, handle, table, numbers))
                }
                return records
            }
            do throws(ChunkStoreError) {
                try log.compact(records, nextArena: arenas.nextNumber)
            } catch {
                Log.warning("chunks", "the index was not compacted", ["error": "\(error)"])
            }
        }
    }
}
