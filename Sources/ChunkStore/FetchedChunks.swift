// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// Chunks that come in one by one while others read: where they are written, and which wait for their
/// records.
///
/// A chunk can be read as soon as it has been written. Its record follows within about a second, many at a
/// time, written by a thread of this object, so whoever brings chunks never waits for the disk's cache. A
/// crash in between makes them absent again, no more.
final class FetchedChunks: Sendable {
    /// Chunks and blocks that are not let wait for the second to pass.
    private static let maximumChunks = 4096
    private static let maximumBlocks: UInt64 = 8192
    private static let delaySeconds = 1.0
    private static let retrySeconds = 10.0

    private struct Waiting {
        var handles: [UInt32] = []
        var blocks: UInt64 = 0
    }

    private struct Clock {
        /// When the thread is to write records; nil while none wait.
        var due: MonotonicTime?
        var thread: NamedThread?
        var stopping = false
    }

    private let lease = Lock<Lease?>(nil)
    private let waiting = Lock(Waiting())
    private let clock = Monitor(Clock())
    /// Held while records are written, so that whoever asks for that waits for it to be done.
    private let recording = Lock(())

    // MARK: Space

    /// Takes blocks side by side, `wanted` of them if the arena has so many left, and pins the arena.
    func take(_ wanted: UInt32, atLeast least: UInt32, _ arenas: ArenaSet) throws(ChunkStoreError) -> Lease {
        try lease.withLock { (lease: inout Lease?) throws(ChunkStoreError) in
            var rest: Lease
            if let held = lease, held.room >= wanted, !held.arena.hasFailed {
                rest = held
            } else {
                let previous = lease
                lease = nil
                if let previous { arenas.unpin(previous.arena) }
                rest = try arenas.lease(after: previous)
                lease = rest
            }
            let count = max(least, min(wanted, rest.room))
            let taken = Lease(arena: rest.arena, next: rest.next, end: rest.next + count)
            rest.next = taken.end
            lease = rest
            arenas.pin(taken.arena)
            return taken
        }
    }

    /// Gives back what is left of blocks that were taken, and undoes the pin.
    func giveBack(_ taken: Lease, _ arenas: ArenaSet) {
        lease.withLock { lease in
            if taken.room > 0, let held = lease, held.arena === taken.arena, held.next == taken.end {
                lease?.next = taken.next
            }
        }
        arenas.unpin(taken.arena)
    }

    // MARK: Records

    /// Puts a chunk, which is present and marked as pending, on the list of those that wait for a record.
    func add(_ handles: [UInt32], blocks: UInt64, _ core: StoreCore) {
        let due = waiting.withLock { waiting -> MonotonicTime? in
            let wasEmpty = waiting.handles.isEmpty
            let wasFull = Self.isFull(waiting)
            waiting.handles += handles
            waiting.blocks += blocks
            if Self.isFull(waiting) && !wasFull { return .now }
            return wasEmpty ? MonotonicTime.now.advanced(bySeconds: Self.delaySeconds) : nil
        }
        if let due { setClock(due, core) }
    }

    private static func isFull(_ waiting: Waiting) -> Bool {
        waiting.handles.count >= maximumChunks || waiting.blocks >= maximumBlocks
    }

    private func setClock(_ due: MonotonicTime, _ core: StoreCore) {
        clock.withLock { clock in
            clock.due = min(clock.due ?? due, due)
            if clock.thread != nil || clock.stopping { return }
            // Without a thread the records wait for the next chunk, or for the end of the store.
            clock.thread = try? NamedThread("chunk-record") { [self] in run(core) }
        }
    }

    private func run(_ core: StoreCore) {
        while true {
            let due: MonotonicTime? = clock.wait { clock in
                clock.stopping ? .some(nil) : clock.due.map { .some($0) }
            }
            guard let due else { return }
            // Woken before the time: it is to be earlier, or all is over.
            let changed = clock.wait(until: due) { clock -> Bool? in
                clock.stopping || (clock.due ?? due) < due ? true : nil
            }
            if changed != nil && MonotonicTime.now < due { continue }
            clock.withLock { $0.due = nil }
            record(core)
        }
    }

    /// Writes the records of all chunks that wait.
    func record(_ core: StoreCore) {
        recording.withLock { _ in
            let taken = waiting.withLock { waiting in
                defer { waiting = Waiting() }
                return waiting
            }
            if taken.handles.isEmpty { return }
            let chunks = core.unrecorded(taken.handles)
            do throws(ChunkStoreError) {
                try core.flushData(of: chunks)
                _ = try core.appendRecords(of: chunks)
            } catch {
                Log.warning("chunks", "fetched chunks are not in the index yet", ["error": "\(error)"])
                retry(taken, error, core)
            }
        }
    }

    /// A full disk may have room again later, and of several arenas one may be well; an index that failed
    /// stays so.
    private func retry(_ taken: Waiting, _ error: ChunkStoreError, _ core: StoreCore) {
        if case .readOnly = error { return }
        waiting.withLock { waiting in
            waiting.handles += taken.handles
            waiting.blocks += taken.blocks
        }
        setClock(MonotonicTime.now.advanced(bySeconds: Self.retrySeconds), core)
    }

    /// Ends the thread and writes the records that still wait.
    func stop(_ core: StoreCore) {
        let thread = clock.withLock { clock -> NamedThread? in
            clock.stopping = true
            defer { clock.thread = nil }
            return clock.thread
        }
        thread?.join()
        record(core)
    }
}
