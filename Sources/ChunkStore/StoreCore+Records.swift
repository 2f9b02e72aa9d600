// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Synchronization

/// From written chunks to index records: data first, then the record of exactly what was flushed.
extension StoreCore {
    /// A chunk that is present, and where it lay when that was looked up.
    ///
    /// Slots are never handed out twice, so a chunk that still has this slot later is still these bytes.
    struct Written {
        let handle: UInt32
        let slot: Slot
    }

    /// Those of the chunks that are present and have no record in the index.
    func unrecorded(_ handles: [UInt32]) -> [Written] {
        table.withLock { table in
            handles.compactMap { handle in
                let flags = table.flags(of: handle)
                guard flags.contains(.findable), !flags.contains(.indexed), slots[handle].isPresent else {
                    return nil
                }
                return Written(handle: handle, slot: slots[handle])
            }
        }
    }

    /// Those of the chunks that have no record in the index; nil when one has none and is not here any more.
    ///
    /// Looked up in one go: meanwhile another session may record chunks that both have.
    func unrecordedUnlessLost(_ handles: [UInt32]) -> [Written]? {
        table.withLock { table in
            var open: [Written] = []
            for handle in handles {
                let flags = table.flags(of: handle)
                if flags.contains(.indexed) { continue }
                guard flags.contains(.findable), slots[handle].isPresent else { return nil }
                open.append(Written(handle: handle, slot: slots[handle]))
            }
            return open
        }
    }

    /// Sees to the records of chunks that a session stored and leaves behind uncommitted, where a lazily
    /// pulled image had them as absent ones and goes on using them.
    func adopt(_ handles: [UInt32]) {
        let kept = table.withLock { table in
            let kept = handles.filter { handle in
                table.places.has(handle) && slots[handle].isPresent
                    && table.flags(of: handle).isDisjoint(with: [.indexed, .pending])
            }
            for handle in kept { table.markPending(handle) }
            return kept
        }
        let blocks = kept.reduce(UInt64(0)) { $0 + UInt64(slots[$1].count) }
        if !kept.isEmpty { fetched.add(kept, blocks: blocks, self) }
    }

    /// Makes the data of chunks durable; what a failure makes doubtful is found no more, or absent again.
    func flushData(of chunks: [Written]) throws(ChunkStoreError) {
        for place in Set(chunks.map(\.slot.arena)) {
            guard let arena = arenas.arena(at: place) else { continue }
            do throws(SystemError) {
                try arena.synchronize { () throws(SystemError) in try hooks.synchronize(arena.file) }
            } catch {
                distrust(place)
                throw .notDurable(error)
            }
        }
    }

    /// Appends the records of chunks whose data has been flushed, and returns how many had been freed or
    /// moved since.
    ///
    /// Those, and chunks that somebody else has recorded, are passed over.
    func appendRecords(of chunks: [Written]) throws(ChunkStoreError) -> Int {
        try index.withLock { (log: inout IndexLog) throws(ChunkStoreError) in
            let numbers = arenaNumbers()
            var gone = 0
            let (handles, records) = table.withLock { table -> ([UInt32], [IndexRecord]) in
                let same = chunks.filter {
                    slots[$0.handle] == $0.slot && table.flags(of: $0.handle).contains(.findable)
                }
                gone = chunks.count - same.count
                let open = same.map(\.handle).filter { !table.flags(of: $0).contains(.indexed) }
                return (open, open.map { record(.add, $0, table, numbers) })
            }
            if !records.isEmpty { try log.append(records) }
            table.withLock { table in
                for handle in handles { table.markIndexed(handle) }
            }
            return gone
        }
    }

    /// Believes no more in the chunks of an arena that are not in the index, after its data could not be made
    /// durable: the pages may be gone although reads still show them.
    ///
    /// A chunk that can be fetched again becomes absent; others cannot be found any more.
    func distrust(_ place: Int) {
        var withdrawn: [FreedBlocks] = []
        var abandoned: [UInt32] = []
        table.withLock { table in
            var doubtful: [UInt32] = []
            table.forEach { handle in
                let isOpen = !table.flags(of: handle).contains(.indexed)
                if isOpen, slots[handle].isPresent, slots[handle].arena == place { doubtful.append(handle) }
            }
            for handle in doubtful {
                let isUsed = table.referenceCount(of: handle) > 0
                if isUsed, table.places.has(handle) {
                    withdrawn.append(FreedBlocks(table.withdraw(handle)))
                } else {
                    table.hide(handle)
                    if !isUsed { abandoned.append(handle) }
                }
            }
        }
        changes.add(1, ordering: .releasing)
        reclaim(abandoned)
        if !withdrawn.isEmpty {
            let freed = withdrawn
            reclaimer.add { [self] in free(freed, wereLive: true) }
        }
    }
}
