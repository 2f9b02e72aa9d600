// SPDX-License-Identifier: Apache-2.0

import Base
public import Blocks
import Synchronization

/// A chunk whose bytes are not what its digest says.
public struct DamagedChunk: Sendable, Equatable {
    public let chunk: ChunkDescriptor
    /// What reading it ended with.
    public let reason: String
    /// Some source is known to have it.
    public let canBeFetched: Bool
    let handle: UInt32
    let slot: Slot

    /// For the fetch engine, while a map has the chunk.
    public var fetchHandle: ChunkHandle { ChunkHandle(index: handle) }
}

/// What the check of the whole store reads and mends.
extension ChunkStore {
    /// Reads every chunk that is here and checks its digest; others go on meanwhile.
    ///
    /// - Parameter progress: gets the bytes that were read so far and those there are, about every 8 MiB; false
    ///   ends the check.
    /// - Returns: the damaged ones, and the bytes that were checked.
    public func verifyAll(
        progress: (_ doneBytes: UInt64, _ totalBytes: UInt64) -> Bool
    ) -> (damaged: [DamagedChunk], bytes: UInt64) {
        let total = core.table.withLock { $0.plainBlocks } * UInt64(Block.bytes)
        var damaged: [DamagedChunk] = []
        var done: UInt64 = 0
        var told: UInt64 = 0
        var next: UInt32 = 0
        while true {
            let batch = presentChunks(from: next, limit: 128)
            guard let last = batch.last else { break }
            next = last.handle + 1
            for item in batch {
                done += UInt64(item.slot.byteCount)
                if let found = check(item.handle, item.chunk, item.slot) { damaged.append(found) }
            }
            if done - told >= 8 << 20 {
                told = done
                if !progress(done, max(total, done)) { break }
            }
        }
        return (damaged, done)
    }

    private func presentChunks(
        from first: UInt32, limit: Int
    ) -> [(handle: UInt32, chunk: ChunkDescriptor, slot: Slot)] {
        core.table.withLock { table in
            var found: [(handle: UInt32, chunk: ChunkDescriptor, slot: Slot)] = []
            var handle = first
            while handle < table.handleLimit, found.count < limit {
                let slot = core.slots[handle]
                if slot.isPresent, let chunk = table.findable(handle) { found.append((handle, chunk, slot)) }
                handle += 1
            }
            return found
        }
    }

    /// Reads a chunk where it was seen; nil when it is well, or has gone meanwhile.
    private func check(_ handle: UInt32, _ chunk: ChunkDescriptor, _ slot: Slot) -> DamagedChunk? {
        do throws(ChunkStoreError) {
            _ = try core.read(handle, digest: chunk.digest)
            return nil
        } catch {
            // The handle may have been another chunk's by the time it was read.
            return core.table.withLock { table in
                guard table.findable(handle) == chunk, core.slots[handle] == slot else { return nil }
                return DamagedChunk(
                    chunk: chunk, reason: "\(error)", canBeFetched: table.places.has(handle), handle: handle,
                    slot: slot)
            }
        }
    }

    /// Takes a damaged chunk out: it is absent from now on, so that nobody is shown its bytes.
    ///
    /// One that some source has is fetched when it is next read; any other one makes reads fail until somebody
    /// stores it again.
    /// - Returns: false when it was not there any more, or its record could not be written.
    public func withdraw(_ damaged: DamagedChunk) throws(ChunkStoreError) -> Bool {
        let core = core
        let isGone = try core.index.withLock { (log: inout IndexLog) throws(ChunkStoreError) -> Bool in
            let numbers = core.arenaNumbers()
            let victim = core.table.withLock { table -> StoreCore.Victim? in
                guard table.findable(damaged.handle) == damaged.chunk,
                    core.slots[damaged.handle] == damaged.slot
                else { return nil }
                let record = core.record(.free, damaged.handle, table, numbers)
                return StoreCore.Victim(
                    handle: damaged.handle, slot: table.withdraw(damaged.handle), record: record)
            }
            guard let victim else { return false }
            do throws(ChunkStoreError) { try log.append([victim.record]) } catch {
                core.restore([victim])
                throw error
            }
            return true
        }
        if !isGone { return false }
        core.changes.add(1, ordering: .releasing)
        core.reclaimer.add { core.free([FreedBlocks(damaged.slot)], wereLive: true) }
        return true
    }

    /// The bytes of a damaged chunk as they are.
    public func damagedBytes(_ damaged: DamagedChunk) -> [UInt8]? {
        core.stability.reading {
            guard core.slots[damaged.handle] == damaged.slot,
                let arena = core.arenas.arena(at: damaged.slot.arena)
            else { return nil }
            return try? arena.file.read(count: damaged.slot.byteCount, at: damaged.slot.offset)
        }
    }

    /// Chunks of maps that have fewer references than maps that hold them; there are none unless this program
    /// is wrong.
    public func countsBelow(_ maps: [ResidentMap]) -> [ChunkDescriptor] {
        var holders: [UInt32: UInt32] = [:]
        for map in maps {
            for handle in map.chunkHandles() { holders[handle, default: 0] += 1 }
        }
        return core.table.withLock { table in
            holders.filter { table.referenceCount(of: $0.key) < $0.value }.map {
                table.descriptor(of: $0.key)
            }
        }
    }

    /// Chunks of a map that are neither here nor in any pack of a known source.
    public func unreachable(in map: ResidentMap) -> [ChunkDescriptor] {
        var lost: [ChunkDescriptor] = []
        let handles = map.chunkHandles()
        for start in stride(from: 0, to: handles.count, by: StoreCore.batch) {
            core.table.withLock { table in
                for handle in handles[start..<min(start + StoreCore.batch, handles.count)]
                where !core.slots[handle].isPresent {
                    let places = table.places.places(of: handle)
                    if places.allSatisfy(\.sources.isEmpty) { lost.append(table.descriptor(of: handle)) }
                }
            }
        }
        return lost
    }

    /// What opening the store found and mended.
    public var openingReport: (droppedIndexBytes: UInt64, unbackedChunks: Int, leakedBytes: UInt64) {
        let report = core.openReport
        return (
            report.droppedIndexBytes, report.unbackedChunks, report.leakedBlocks * UInt64(Block.bytes)
        )
    }
}
