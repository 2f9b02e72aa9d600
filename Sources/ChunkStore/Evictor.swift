// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Synchronization

/// Makes chunks that can be fetched again absent when they take too much space: the clock of the cache.
///
/// The clock's hand goes round the handles. A chunk that was read since the hand last passed stays for another
/// round, any other one goes, unless it is pinned (`ChunkPins`), waits for its record in the index, or is only
/// waiting for a collection.
///
/// A chunk goes in this order: it becomes absent for new readers; its *free* record becomes durable; readers
/// that still use its bytes are waited for; the bytes are punched out. A crash in between leaves it present, or
/// absent with bytes that the next start's collection punches out.
final class Evictor: Sendable {
    /// Entered blocks after which the file system is asked how much is free.
    private static let checkBlocks: UInt64 = 4096
    private static let pauseSeconds = 1.0

    private struct State {
        var limits = CacheLimits()
        /// The handle that the clock looks at next.
        var hand: UInt32 = 0
        var evictedChunks: UInt64 = 0
        var evictedBlocks: UInt64 = 0
        var isStuck = false
        /// Nothing could be evicted: there is no sense in trying before.
        var notBefore = MonotonicTime(nanoseconds: 0)
    }

    private let state = Lock(State())
    /// Held while chunks are evicted, which takes a while.
    private let running = Lock(())
    /// Of the limits, for whoever enters chunks.
    private let maximumBlocks = Atomic<UInt64>(.max)
    private let enteredBlocks = Atomic<UInt64>(0)
    private let isScheduled = Atomic<Bool>(false)
    private let evictionCount = Atomic<UInt64>(0)

    // MARK: Limits

    func setLimits(_ limits: CacheLimits, _ core: StoreCore) {
        state.withLock { state in
            state.limits = limits
            state.notBefore = MonotonicTime(nanoseconds: 0)
        }
        maximumBlocks.store(
            limits.maximumBytes.map { $0 / UInt64(Block.bytes) } ?? .max, ordering: .relaxed)
        schedule(core)
    }

    /// Grows whenever chunks have been evicted.
    var evictions: UInt64 { evictionCount.load(ordering: .relaxed) }

    var limits: CacheLimits { state.withLock { $0.limits } }

    func fill(_ status: inout CacheStatus) {
        state.withLock { state in
            status.limits = state.limits
            status.evictedChunks = state.evictedChunks
            status.evictedBytes = state.evictedBlocks * UInt64(Block.bytes)
            status.isStuck = state.isStuck
        }
    }

    // MARK: When

    /// A chunk has come; called often.
    func noteEntered(_ blocks: UInt64, cachedBlocks: UInt64, _ core: StoreCore) {
        let entered = enteredBlocks.add(blocks, ordering: .relaxed).newValue
        if cachedBlocks > maximumBlocks.load(ordering: .relaxed) || entered >= Self.checkBlocks {
            schedule(core)
        }
    }

    /// Looks at the limits soon, in the background.
    func schedule(_ core: StoreCore) {
        enteredBlocks.store(0, ordering: .relaxed)
        if MonotonicTime.now < state.withLock({ $0.notBefore }) { return }
        if isScheduled.exchange(true, ordering: .acquiringAndReleasing) { return }
        core.reclaimer.add { [self] in
            isScheduled.store(false, ordering: .releasing)
            keepLimits(core)
        }
    }

    /// Evicts until the limits are kept or nothing is left that may go.
    func keepLimits(_ core: StoreCore) {
        running.withLock { _ in
            var excess = excessBlocks(core)
            while excess > 0 {
                let freed = evict(excess, core)
                if freed == 0 { return noteStuck(true) }
                excess = excessBlocks(core)
            }
            noteStuck(false)
        }
    }

    /// Makes room for a write that found the disk full; true when another try may succeed.
    ///
    /// Blocks for as long as that takes.
    func makeRoom(_ bytes: Int, _ core: StoreCore) -> Bool {
        let wanted = Block.count(forBytes: UInt64(bytes)) + Self.checkBlocks
        return running.withLock { _ in evict(wanted, core) > 0 }
    }

    private func noteStuck(_ isStuck: Bool) {
        let isNews = state.withLock { state in
            state.notBefore = isStuck ? .now.advanced(bySeconds: Self.pauseSeconds) : state.notBefore
            defer { state.isStuck = isStuck }
            return isStuck && !state.isStuck
        }
        if isNews {
            Log.warning("chunks", "the cache is over its limits, and nothing is left that could go", [:])
        }
    }

    /// Blocks that have to go so that the limits are kept with something to spare; 0 while they are kept.
    private func excessBlocks(_ core: StoreCore) -> UInt64 {
        let limits = limits
        var excess: UInt64 = 0
        let cached = core.table.withLock { $0.cachedBlocks } * UInt64(Block.bytes)
        if let maximum = limits.maximumBytes, let target = limits.targetBytes, cached > maximum {
            excess = cached - target
        }
        if limits.minimumFreeBytes > 0, let free = core.hooks.availableBytes(core.directory),
            free < limits.minimumFreeBytes
        {
            excess = max(excess, limits.targetFreeBytes - free)
        }
        return Block.count(forBytes: excess)
    }

    // MARK: How

    /// Evicts about so many blocks and gives their space back; returns how many it were.
    private func evict(_ blocks: UInt64, _ core: StoreCore) -> UInt64 {
        let victims = core.index.withLock { log in
            log.hasFailed ? [] : takeVictims(blocks, &log, core)
        }
        if victims.isEmpty { return 0 }
        core.changes.add(1, ordering: .releasing)
        evictionCount.add(1, ordering: .relaxed)
        core.free(victims.map { FreedBlocks($0.slot) }, wereLive: true)
        core.compactIfMostlyDead()
        let freed = victims.reduce(UInt64(0)) { $0 + UInt64($1.slot.count) }
        state.withLock { state in
            state.evictedChunks += UInt64(victims.count)
            state.evictedBlocks += freed
        }
        return freed
    }

    private func takeVictims(
        _ blocks: UInt64, _ log: inout IndexLog, _ core: StoreCore
    ) -> [StoreCore.Victim] {
        var victims: [StoreCore.Victim] = []
        var taken: UInt64 = 0
        var hand = state.withLock { $0.hand }
        // Twice round: the first time every chunk may have been touched.
        var left = UInt64(core.table.withLock { $0.handleLimit }) * 2
        while taken < blocks, left > 0 {
            let steps = min(UInt64(StoreCore.batch), left)
            left -= steps
            let found = core.withdrawVictims(from: &hand, steps: Int(steps), blocks: blocks - taken)
            taken += found.reduce(0) { $0 + UInt64($1.slot.count) }
            victims += found
        }
        state.withLock { $0.hand = hand }
        if victims.isEmpty { return [] }
        do throws(ChunkStoreError) {
            try log.append(victims.map(\.record))
            return victims
        } catch {
            Log.error("chunks", "chunks could not be evicted", ["error": "\(error)"])
            core.restore(victims)
            return []
        }
    }
}

extension StoreCore {
    /// A chunk that has become absent, and what has to be recorded and given back.
    struct Victim {
        let handle: UInt32
        let slot: Slot
        let record: IndexRecord
    }

    /// Moves the hand on and makes absent what it finds and what may go.
    func withdrawVictims(from hand: inout UInt32, steps: Int, blocks: UInt64) -> [Victim] {
        let numbers = arenaNumbers()
        return table.withLock { table in
            var victims: [Victim] = []
            var taken: UInt64 = 0
            for _ in 0..<steps where taken < blocks {
                if hand >= table.handleLimit { hand = 0 }
                if table.handleLimit == 0 { break }
                defer { hand += 1 }
                guard mayEvict(hand, table), !slots.takeTouch(hand) else { continue }
                let record = record(.free, hand, table, numbers)
                let slot = table.withdraw(hand)
                taken += UInt64(slot.count)
                victims.append(Victim(handle: hand, slot: slot, record: record))
            }
            return victims
        }
    }

    private func mayEvict(_ handle: UInt32, _ table: ChunkTable) -> Bool {
        let flags = table.flags(of: handle)
        return flags.contains(.findable) && flags.contains(.indexed) && slots[handle].isPresent
            && table.referenceCount(of: handle) > 0 && !table.isPinned(handle) && table.places.has(handle)
    }

    /// Makes victims present again whose records could not be written: their bytes are still there.
    func restore(_ victims: [Victim]) {
        table.withLock { table in
            for victim in victims where table.findable(victim.handle) != nil {
                // The handle may be another chunk's by now, or the chunk may have come anew.
                guard table.digest(of: victim.handle) == victim.record.digest, slots[victim.handle].isAbsent
                else { continue }
                table.publish(victim.handle, victim.slot, .indexed)
            }
        }
    }
}

extension ChunkStore {
    /// Sets what chunks may take that can be fetched again; those over the limits go in the background.
    ///
    /// To be called when every live map is attached.
    public func setCacheLimits(_ limits: CacheLimits) {
        core.evictor.setLimits(limits, core)
    }

    /// Looks whether the limits are kept, and evicts in the background where they are not; cheap.
    ///
    /// For once a second: others fill the disk too.
    public func keepCacheLimits() {
        core.evictor.schedule(core)
    }

    /// The cache beside its limits.
    public func cacheStatus() -> CacheStatus {
        var status = CacheStatus()
        core.evictor.fill(&status)
        core.table.withLock { table in
            status.cachedBytes = table.cachedBlocks * UInt64(Block.bytes)
            status.pinnedBytes = (table.plainBlocks - table.cachedBlocks) * UInt64(Block.bytes)
        }
        status.freeBytes = core.hooks.availableBytes(core.directory)
        return status
    }

    /// Whether so many bytes could come without anything having to go.
    public func cacheHasRoom(for bytes: UInt64) -> Bool {
        let status = cacheStatus()
        if let target = status.limits.targetBytes, status.cachedBytes + bytes > target { return false }
        guard let free = status.freeBytes, status.limits.minimumFreeBytes > 0 else { return true }
        return free > bytes && free - bytes > status.limits.targetFreeBytes
    }

    /// Whether what a map lacks could come without anything having to go.
    public func hasRoom(for map: ResidentMap) -> Bool {
        cacheHasRoom(for: map.mappedBlockCount * UInt64(Block.bytes) - map.presentBytes)
    }
}
