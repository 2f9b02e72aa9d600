// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc

/// A stretch of an arena that one session fills from front to back.
struct Lease {
    let arena: Arena
    var next: UInt32
    let end: UInt32

    var room: UInt32 { end - next }
}

/// Consecutive blocks of an arena that hold nothing any more.
struct FreedBlocks {
    let arena: Int
    let start: UInt32
    let count: UInt32

    init(arena: Int, start: UInt32, count: UInt32) {
        self.arena = arena
        self.start = start
        self.count = count
    }

    init(_ slot: Slot) {
        self.init(arena: slot.arena, start: slot.block, count: UInt32(slot.count))
    }
}

/// The arena files of a store: which are open, who may write where, and when one is deleted.
final class ArenaSet: @unchecked Sendable {
    // Unchecked because: `descriptors` is set before a slot in the arena is given out, and cleared after
    // readers have been drained; everything else is in a lock.

    /// Blocks that a session takes at once, so that concurrent sessions do not interleave chunk by chunk.
    static let leaseBlocks: UInt32 = 4096

    private struct Entry {
        let arena: Arena
        /// Blocks handed out so far.
        var tail: UInt32
        /// Blocks that chunks take.
        var liveBlocks: UInt64 = 0
        /// Sessions that may still enter chunks that they wrote here.
        var pins = 0
    }

    private struct State {
        var entries: [Entry?] = []
        var current: Int?
        var nextNumber: UInt32 = 0
    }

    let directory: String
    /// The descriptor of each open arena by its place; -1 where there is none.
    let descriptors: UnsafeMutablePointer<Int32>
    private let state = Lock(State())

    /// Opens every arena in the directory, which is made when it is not there.
    init(directory: String) throws(SystemError) {
        self.directory = directory
        descriptors = .allocate(capacity: Arena.limit)
        descriptors.initialize(repeating: -1, count: Arena.limit)
        try Directories.create(directory)
        for name in try Directories.names(in: directory) {
            guard let number = Arena.number(in: name) else { continue }
            try state.withLock { (state: inout State) throws(SystemError) in
                _ = try open(number, create: false, &state)
            }
        }
    }

    deinit {
        descriptors.deallocate()
    }

    private func open(_ number: UInt32, create: Bool, _ state: inout State) throws(SystemError) -> Int {
        let index = state.entries.firstIndex { $0 == nil } ?? state.entries.count
        if index == Arena.limit { throw SystemError(EMFILE, "open", directory) }
        let arena = try Arena(
            number: number, index: index, path: directory + "/" + Arena.name(number), create: create)
        let blocks = Block.count(forBytes: try arena.file.size())
        let tail = UInt32(clamping: min(blocks, UInt64(Arena.maximumBlocks)))
        if index == state.entries.count { state.entries.append(nil) }
        state.entries[index] = Entry(arena: arena, tail: tail)
        descriptors[index] = arena.file.fd
        state.nextNumber = max(state.nextNumber, number &+ 1)
        if tail < Arena.maximumBlocks { state.current = index }
        return index
    }

    var isEmpty: Bool { state.withLock { $0.entries.isEmpty } }

    /// All open arenas, in the order of their places.
    var all: [Arena] { state.withLock { $0.entries.compactMap { $0?.arena } } }

    func arena(at index: Int) -> Arena? {
        state.withLock { index < $0.entries.count ? $0.entries[index]?.arena : nil }
    }

    /// Numbers below this one belong to arenas that are or were there.
    var nextNumber: UInt32 { state.withLock { $0.nextNumber } }

    func reserveNumbers(below number: UInt32) {
        state.withLock { $0.nextNumber = max($0.nextNumber, number) }
    }

    // MARK: Writing

    /// Takes a stretch of the arena that is being filled, or of a new one, and pins that arena; it continues
    /// `previous` when nobody has taken the blocks behind that.
    func lease(after previous: Lease?) throws(ChunkStoreError) -> Lease {
        do throws(SystemError) {
            return try state.withLock { (state: inout State) throws(SystemError) in
                if let previous { Self.giveBackRest(of: previous, &state) }
                let index = try writable(&state)
                guard var entry = state.entries[index] else { throw SystemError(EMFILE, "open", directory) }
                let count = min(Self.leaseBlocks, Arena.maximumBlocks - entry.tail)
                let lease = Lease(arena: entry.arena, next: entry.tail, end: entry.tail + count)
                entry.tail += count
                entry.pins += 1
                state.entries[index] = entry
                return lease
            }
        } catch {
            if error.code == EMFILE, error.subject == directory { throw .tooManyArenas(limit: Arena.limit) }
            throw ChunkStoreError(error)
        }
    }

    private func writable(_ state: inout State) throws(SystemError) -> Int {
        if let current = state.current, let entry = state.entries[current], !entry.arena.hasFailed,
            Arena.maximumBlocks - entry.tail >= UInt32(Block.maximumPerChunk)
        {
            return current
        }
        let index = try open(state.nextNumber, create: true, &state)
        // The name must be durable before a record of the index can point into the file.
        try Directories.synchronize(directory)
        return index
    }

    /// Gives the unused rest of a lease back, when it is the last thing that was handed out of its arena.
    func giveBackRest(of lease: Lease) {
        state.withLock { Self.giveBackRest(of: lease, &$0) }
    }

    private static func giveBackRest(of lease: Lease, _ state: inout State) {
        guard let entry = state.entries[lease.arena.index], entry.tail == lease.end else { return }
        state.entries[lease.arena.index]?.tail = lease.next
    }

    /// Keeps an arena for somebody who writes into it.
    func pin(_ arena: Arena) {
        state.withLock { $0.entries[arena.index]?.pins += 1 }
    }

    /// Undoes the pin of a lease, once the chunks that were written there have been entered or given up.
    func unpin(_ arena: Arena) {
        state.withLock { $0.entries[arena.index]?.pins -= 1 }
    }

    // MARK: Freeing

    func addLive(_ blocks: UInt64, in arena: Int) {
        state.withLock { $0.entries[arena]?.liveBlocks += blocks }
    }

    /// Punches holes and deletes arenas that hold nothing any more.
    ///
    /// No reader may be left that uses the blocks.
    /// - Parameter wereLive: the blocks belonged to chunks, rather than to writes that came to nothing.
    func free(_ blocks: [FreedBlocks], wereLive: Bool) throws(SystemError) {
        for freed in Self.merged(blocks) {
            guard let arena = arena(at: freed.arena) else { continue }
            if wereLive {
                state.withLock { $0.entries[freed.arena]?.liveBlocks -= UInt64(freed.count) }
            }
            if try deleteIfEmpty(freed.arena) { continue }
            try arena.file.punchHole(
                at: UInt64(freed.start) * UInt64(Block.bytes),
                count: UInt64(freed.count) * UInt64(Block.bytes))
        }
    }

    /// Deletes an arena in which no chunk lies and into which nobody writes.
    private func deleteIfEmpty(_ index: Int) throws(SystemError) -> Bool {
        try state.withLock { (state: inout State) throws(SystemError) in
            guard let entry = state.entries[index] else { return true }
            if entry.liveBlocks > 0 || entry.pins > 0 || state.current == index { return false }
            descriptors[index] = -1
            state.entries[index] = nil
            try Directories.removeFile(entry.arena.file.path)
            return true
        }
    }

    static func merged(_ blocks: [FreedBlocks]) -> [FreedBlocks] {
        var result: [FreedBlocks] = []
        for freed in blocks.sorted(by: { ($0.arena, $0.start) < ($1.arena, $1.start) }) {
            if let last = result.last, last.arena == freed.arena, last.start + last.count == freed.start {
                result[result.count - 1] = FreedBlocks(
                    arena: last.arena, start: last.start, count: last.count + freed.count)
            } else {
                result.append(freed)
            }
        }
        return result
    }

    /// Bytes that the files take on their file system.
    func allocatedBytes() -> UInt64 {
        // A file whose status cannot be had counts as nothing: this is a figure for people.
        all.reduce(0) { $0 + ((try? $1.file.status().allocatedBytes) ?? 0) }
    }
}
