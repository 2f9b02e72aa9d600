// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import Synchronization

/// What a session has added so far.
struct IngestCounters: Sendable {
    var newChunks = 0
    var newBytes: UInt64 = 0
    var sharedChunks = 0
    var sharedBytes: UInt64 = 0
}

/// Puts batches of hashed chunks into the store: finds duplicates, takes slots, writes, and enters the
/// chunks.
///
/// A chunk can be found by others only after it was written, so whoever finds one can read it. Two sessions
/// that have the same new chunk in hand at the same time may both write it; the later one gives its slot
/// back.
///
/// Used by one thread at a time, in the order of the batches.
final class IngestWriter {
    private let core: StoreCore
    private var lease: Lease?
    /// Arenas of leases, past and present, into which chunks were written that are not entered yet.
    private var pinned: [Arena] = []
    /// One entry for each reference that the session holds.
    private var held: [UInt32] = []
    /// Those of `held` that were not in the index when they were entered or found.
    private var unindexed: [UInt32] = []
    private(set) var counters = IngestCounters()

    init(_ core: StoreCore) {
        self.core = core
    }

    /// A chunk of a batch that has to be written.
    private struct Fresh {
        let item: IngestBatch.Item
        let digest: Digest
        var slot = Slot.none

        var descriptor: ChunkDescriptor { ChunkDescriptor(digest: digest, blockCount: item.blockCount) }
    }

    // MARK: Storing

    /// Stores the batch, whose digests are known.
    func store(_ batch: IngestBatch) throws(ChunkStoreError) {
        var fresh: [Fresh] = []
        core.table.withLock { table in
            var seen: Set<Digest> = []
            for item in batch.items {
                guard let digest = item.digest else { continue }
                let chunk = ChunkDescriptor(digest: digest, blockCount: item.blockCount)
                if hold(chunk, in: table) {
                    count(item, new: false)
                } else if seen.insert(digest).inserted {
                    fresh.append(Fresh(item: item, digest: digest))
                } else {
                    count(item, new: false)
                }
            }
        }
        defer { unpin(keepingLease: true) }
        var next = 0
        do throws(ChunkStoreError) {
            while next < fresh.count { next = try write(&fresh, from: next, batch) }
        } catch {
            giveBack(fresh[..<next])
            throw error
        }
        enter(fresh)
    }

    private func unpin(keepingLease: Bool) {
        let kept = keepingLease && lease != nil ? pinned.popLast() : nil
        for arena in pinned { core.arenas.unpin(arena) }
        pinned = kept.map { [$0] } ?? []
    }

    /// Gives slots back that were written and will not be entered.
    private func giveBack(_ written: some Collection<Fresh>) {
        if written.isEmpty { return }
        core.giveBack(written.map { FreedBlocks($0.slot) })
    }

    /// Takes a reference on a chunk when it is present.
    private func hold(_ chunk: ChunkDescriptor, in table: ChunkTable) -> Bool {
        guard let handle = table.find(chunk), core.slots[handle].isPresent else { return false }
        table.retain(handle)
        table.pin(handle)
        held.append(handle)
        if !table.flags(of: handle).contains(.indexed) { unindexed.append(handle) }
        return true
    }

    private func count(_ item: IngestBatch.Item, new: Bool) {
        if new {
            counters.newChunks += 1
            counters.newBytes += UInt64(item.byteCount)
        } else {
            counters.sharedChunks += 1
            counters.sharedBytes += UInt64(item.byteCount)
        }
    }

    /// Writes as many chunks as the lease has room for, by one call; returns the index of the first that is
    /// left.
    private func write(
        _ fresh: inout [Fresh], from first: Int, _ batch: IngestBatch
    ) throws(ChunkStoreError) -> Int {
        var lease = try leaseWithRoom(for: fresh[first].item.blockCount)
        let start = lease.next
        var end = first
        var target = batch.buffer.startIndex + fresh[first].item.offset
        let source = target
        while end < fresh.count, fresh[end].item.blockCount <= lease.room {
            let item = fresh[end].item
            fresh[end].slot = Slot(arena: lease.arena.index, block: lease.next, count: item.blockCount)
            lease.next += UInt32(item.blockCount)
            // Chunks that were there already leave gaps in the buffer, which are closed so that one write
            // suffices.
            if target != item.offset {
                let bytes = UnsafeRawBufferPointer(batch.bytes(item))
                UnsafeMutableRawBufferPointer(rebasing: batch.buffer[target..<target + item.byteCount])
                    .copyMemory(from: bytes)
            }
            target += item.byteCount
            end += 1
        }
        do throws(SystemError) {
            let bytes = UnsafeRawBufferPointer(rebasing: batch.buffer[source..<target])
            try lease.arena.file.write(bytes, at: UInt64(start) * UInt64(Block.bytes))
        } catch {
            abandon(lease, from: start)
            throw ChunkStoreError(error)
        }
        self.lease = lease
        return end
    }

    private func leaseWithRoom(for blocks: UInt8) throws(ChunkStoreError) -> Lease {
        if let lease, lease.room >= UInt32(blocks), !lease.arena.hasFailed { return lease }
        let previous = lease
        lease = nil
        let next = try core.arenas.lease(after: previous)
        pinned.append(next.arena)
        return next
    }

    /// After a failed write nobody knows what lies behind `start`: the blocks are never handed out again.
    private func abandon(_ lease: Lease, from start: UInt32) {
        let freed = FreedBlocks(arena: lease.arena.index, start: start, count: lease.end - start)
        self.lease = nil
        core.reclaimer.add { [core] in core.free([freed], wereLive: false) }
    }

    /// Enters what was written; where another session was faster its chunk is used and ours given back.
    private func enter(_ fresh: [Fresh]) {
        var duplicates: [Fresh] = []
        var changed = false
        core.table.withLock { table in
            for chunk in fresh {
                if hold(chunk.descriptor, in: table) {
                    duplicates.append(chunk)
                    count(chunk.item, new: false)
                } else {
                    let absent = table.find(chunk.descriptor)
                    let handle = absent ?? table.insert(chunk.digest, chunk.slot, [])
                    if let absent { table.publish(absent, chunk.slot, []) }
                    changed = changed || absent != nil
                    table.retain(handle)
                    table.pin(handle)
                    held.append(handle)
                    unindexed.append(handle)
                    core.arenas.addLive(UInt64(chunk.slot.count), in: chunk.slot.arena)
                    count(chunk.item, new: true)
                }
            }
        }
        if changed { core.changes.add(1, ordering: .releasing) }
        giveBack(duplicates)
    }

    // MARK: Commit

    /// Makes every chunk that the session refers to durable: the data first, then the index.
    func commit() throws(ChunkStoreError) {
        // Another session, or the store's own thread, may have learnt that an arena cannot be relied on.
        guard let waiting = core.unrecordedUnlessLost(unindexed) else {
            throw .notDurable(SystemError(EIO, "fdatasync", core.directory))
        }
        try core.flushData(of: waiting)
        if try core.appendRecords(of: waiting) > 0 {
            throw .notDurable(SystemError(EIO, "fdatasync", core.directory))
        }
        unindexed = []
    }

    /// Drops the session's references and its unused space.
    func release() {
        if let lease { core.arenas.giveBackRest(of: lease) }
        lease = nil
        unpin(keepingLease: false)
        let handles = held
        core.adopt(unindexed)
        held = []
        unindexed = []
        core.drop(handles, .all)
    }
}
