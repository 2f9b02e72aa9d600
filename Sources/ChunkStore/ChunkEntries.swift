// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Synchronization

extension ChunkStore {
    /// Enters the bytes of an absent chunk, after which every reader finds them.
    ///
    /// Checks their digest and writes them on the caller's thread; any thread may call it. The chunk's record
    /// in the index follows within about a second, see `synchronizeFetched`. A chunk that is present already
    /// is left as it is, whoever was faster.
    /// - Throws: `wrongBytes` when they are not those of the chunk, `missingChunk` when nothing refers to it
    ///   any more, and what writing throws.
    public func enter(_ handle: ChunkHandle, plain: UnsafeRawBufferPointer) throws(ChunkStoreError) {
        try beginEntries(plannedBytes: UInt64(plain.count)).enter(handle, plain: plain)
    }

    /// Begins a series of chunks that are to lie side by side, in the order in which they come.
    /// - Parameter plannedBytes: the plain bytes of all of them, as far as known.
    public func beginEntries(plannedBytes: UInt64) -> ChunkEntries {
        ChunkEntries(core, plannedBlocks: Block.count(forBytes: plannedBytes))
    }

    /// Makes every chunk that was entered before the call durable, as far as the disk lets it.
    public func synchronizeFetched() {
        core.fetched.record(core)
    }
}

/// A series of fetched chunks that lie side by side; used by one thread at a time.
public final class ChunkEntries: @unchecked Sendable {
    // Unchecked because: the one thread that uses it owns the state.
    private let core: StoreCore
    /// Blocks that are still expected.
    private var planned: UInt64
    /// Blocks taken for chunks that are to come.
    private var space: Lease?

    init(_ core: StoreCore, plannedBlocks: UInt64) {
        self.core = core
        planned = plannedBlocks
    }

    deinit {
        if let space { core.fetched.giveBack(space, core.arenas) }
    }

    /// Enters a chunk, as `ChunkStore.enter` does.
    public func enter(_ handle: ChunkHandle, plain: UnsafeRawBufferPointer) throws(ChunkStoreError) {
        guard let chunk = core.table.withLock({ $0.findable(handle.index) }) else {
            throw .missingChunk(core.table.withLock { $0.digest(of: handle.index) })
        }
        let blocks = UInt32(chunk.blockCount)
        defer { planned -= min(planned, UInt64(blocks)) }
        guard plain.count == Int(blocks) * Block.bytes, Digest(hashing: plain) == chunk.digest else {
            throw .wrongBytes(chunk.digest)
        }
        if core.slots[handle.index].isPresent { return }
        let slot = try write(plain, blocks)
        if core.publish(handle.index, chunk, slot) {
            core.fetched.add([handle.index], blocks: UInt64(blocks), core)
        } else {
            core.giveBack([FreedBlocks(slot)])
        }
    }

    /// Writes a chunk; where the disk is full, others that can be fetched again make room.
    private func write(_ plain: UnsafeRawBufferPointer, _ blocks: UInt32) throws(ChunkStoreError) -> Slot {
        do throws(ChunkStoreError) {
            return try writeOnce(plain, blocks)
        } catch {
            guard case .full = error, core.evictor.makeRoom(plain.count, core) else { throw error }
            return try writeOnce(plain, blocks)
        }
    }

    private func writeOnce(
        _ plain: UnsafeRawBufferPointer, _ blocks: UInt32
    ) throws(ChunkStoreError) -> Slot {
        var lease = try spaceWithRoom(for: blocks)
        let slot = Slot(arena: lease.arena.index, block: lease.next, count: UInt8(blocks))
        // Taken whatever happens: after a failed write nobody knows what lies there.
        lease.next += blocks
        space = lease
        do throws(SystemError) {
            try lease.arena.file.write(plain, at: slot.offset)
        } catch {
            core.giveBack([FreedBlocks(slot)])
            throw ChunkStoreError(error)
        }
        return slot
    }

    private func spaceWithRoom(for blocks: UInt32) throws(ChunkStoreError) -> Lease {
        if let space, space.room >= blocks, !space.arena.hasFailed { return space }
        if let space { core.fetched.giveBack(space, core.arenas) }
        space = nil
        let wanted = UInt32(clamping: min(max(planned, UInt64(blocks)), UInt64(ArenaSet.leaseBlocks)))
        return try core.fetched.take(wanted, atLeast: blocks, core.arenas)
    }
}

extension StoreCore {
    /// Makes an absent chunk present; false when it is not absent any more or not known.
    func publish(_ handle: UInt32, _ chunk: ChunkDescriptor, _ slot: Slot) -> Bool {
        var cached: UInt64 = 0
        let published = table.withLock { table in
            // While nobody looked the handle may have been given to another chunk.
            guard table.findable(handle) == chunk, slots[handle].isAbsent else { return false }
            arenas.addLive(UInt64(slot.count), in: slot.arena)
            table.publish(handle, slot, .pending)
            cached = table.cachedBlocks
            return true
        }
        if published {
            changes.add(1, ordering: .releasing)
            evictor.noteEntered(UInt64(slot.count), cachedBlocks: cached, self)
        }
        return published
    }

    /// Gives blocks back that were written and that no chunk has.
    func giveBack(_ blocks: [FreedBlocks]) {
        reclaimer.add { [self] in free(blocks, wereLive: false) }
    }
}
