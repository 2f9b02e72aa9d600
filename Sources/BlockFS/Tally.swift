// SPDX-License-Identifier: Apache-2.0

public import Base
import Synchronization

/// What the kernel asks for, as far as it is counted.
public enum RequestKind: Int, CaseIterable, Sendable {
    case read, write, fsync, fallocate, lseek, copy, lookup, getattr, setattr, open, create, unlink, readdir
    case statfs

    public var name: String { "\(self)" }
}

/// Where the bytes of a read came from.
public enum ReadOrigin: Int, CaseIterable, Sendable {
    /// Nothing was missing: cached chunks, deltas, holes.
    case cache
    /// It waited for the stream of a boot pack.
    case bootPack
    /// It waited for something else that was under way, or for a request of its own.
    case demandFetch

    public var name: String {
        switch self {
        case .cache: "cache"
        case .bootPack: "boot_pack"
        case .demandFetch: "demand_fetch"
        }
    }
}

/// What one thread has answered.
///
/// Only that thread writes, so a count is a load and a store and no bus is locked; anyone may read.
struct Tally: @unchecked Sendable {
    // Unchecked because: the words are atomic, and the memory lives as long as the `TallyBook`.
    private typealias Word = Atomic<UInt64>

    private static let buckets = DurationHistogram.boundCount + 1
    private static let requestsAt = 0
    private static let errorsAt = RequestKind.allCases.count
    private static let readBytesAt = errorsAt + 1
    private static let writtenBytesAt = readBytesAt + 1
    private static let readsAt = writtenBytesAt + 1
    private static let writesAt = readsAt + ReadOrigin.allCases.count * (buckets + 1)
    private static let fsyncsAt = writesAt + buckets + 1
    private static let turnAt = fsyncsAt + buckets + 1
    fileprivate static let wordCount = turnAt + 1

    /// Of the reads that wait for nothing one in so many is timed, after the first few of a thread, and counts for
    /// all of them: two looks at the clock can cost half a microsecond, and a warm read takes ten.
    private static let timedShare: UInt64 = 16
    private static let timedFirst: UInt64 = 64

    private let words: UnsafeMutablePointer<Word>

    fileprivate init() {
        words = .allocate(capacity: Self.wordCount)
        for index in 0..<Self.wordCount { (words + index).initialize(to: Word(0)) }
    }

    fileprivate func deallocate() {
        words.deinitialize(count: Self.wordCount)
        words.deallocate()
    }

    @inline(__always)
    private func add(_ count: UInt64, at index: Int) {
        let word = words + index
        word.pointee.store(word.pointee.load(ordering: .relaxed) &+ count, ordering: .relaxed)
    }

    @inline(__always)
    private func observe(_ nanoseconds: UInt64, at index: Int, weight: UInt64 = 1) {
        add(weight, at: index + DurationHistogram.bucket(nanoseconds))
        add(nanoseconds &* weight, at: index + Self.buckets)
    }

    /// When a read begins that is to be timed; nil for the others.
    @inline(__always)
    func beginRead() -> MonotonicTime? {
        let turn = words[Self.turnAt].load(ordering: .relaxed) &+ 1
        words[Self.turnAt].store(turn, ordering: .relaxed)
        return turn <= Self.timedFirst || turn % Self.timedShare == 0 ? .now : nil
    }

    /// A read that was answered at once.
    @inline(__always)
    func noteHit(_ count: Int, since start: MonotonicTime?) {
        add(UInt64(count), at: Self.readBytesAt)
        guard let start else { return }
        let isFirst = words[Self.turnAt].load(ordering: .relaxed) <= Self.timedFirst
        observe(
            MonotonicTime.now.nanoseconds &- start.nanoseconds, at: Self.readsAt,
            weight: isFirst ? 1 : Self.timedShare)
    }

    @inline(__always)
    func note(_ kind: RequestKind) { add(1, at: Self.requestsAt + kind.rawValue) }

    func noteError() { add(1, at: Self.errorsAt) }

    /// A read that had to wait.
    func noteRead(_ count: Int, _ origin: ReadOrigin, since start: MonotonicTime) {
        add(UInt64(count), at: Self.readBytesAt)
        let nanoseconds = MonotonicTime.now.nanoseconds &- start.nanoseconds
        observe(nanoseconds, at: Self.readsAt + origin.rawValue * (Self.buckets + 1))
    }

    func noteWrite(_ count: Int, since start: MonotonicTime) {
        add(UInt64(count), at: Self.writtenBytesAt)
        observe(MonotonicTime.now.nanoseconds &- start.nanoseconds, at: Self.writesAt)
    }

    func noteFlush(since start: MonotonicTime) {
        observe(MonotonicTime.now.nanoseconds &- start.nanoseconds, at: Self.fsyncsAt)
    }

    fileprivate func add(to figures: inout [UInt64]) {
        for index in 0..<Self.wordCount { figures[index] &+= words[index].load(ordering: .relaxed) }
    }

    fileprivate static func activity(_ figures: [UInt64]) -> BlockActivity {
        func histogram(_ index: Int) -> DurationHistogram {
            DurationHistogram(
                counts: Array(figures[index..<index + buckets]), totalNanoseconds: figures[index + buckets])
        }
        return BlockActivity(
            requests: RequestKind.allCases.map { ($0, figures[requestsAt + $0.rawValue]) },
            errors: figures[errorsAt], readBytes: figures[readBytesAt], writtenBytes: figures[writtenBytesAt],
            reads: ReadOrigin.allCases.map { ($0, histogram(readsAt + $0.rawValue * (buckets + 1))) },
            writes: histogram(writesAt), flushes: histogram(fsyncsAt))
    }
}

/// What the file system has answered since it was started.
public struct BlockActivity: Sendable {
    public let requests: [(kind: RequestKind, count: UInt64)]
    /// Requests that were answered with an error.
    public let errors: UInt64
    /// Bytes that were asked for and answered, and that were written.
    public let readBytes: UInt64
    public let writtenBytes: UInt64
    public let reads: [(origin: ReadOrigin, durations: DurationHistogram)]
    public let writes: DurationHistogram
    public let flushes: DurationHistogram
}

/// The tallies of all threads, those that have ended among them.
final class TallyBook: Sendable {
    private struct State {
        var all: [Tally] = []
        /// Of threads that have ended; they count on for others.
        var free: [Tally] = []
    }

    private let state = Lock(State())

    deinit { state.withLock { state in state.all.forEach { $0.deallocate() } } }

    func take() -> Tally {
        state.withLock { state in
            if let tally = state.free.popLast() { return tally }
            let tally = Tally()
            state.all.append(tally)
            return tally
        }
    }

    func giveBack(_ tally: Tally) {
        state.withLock { $0.free.append(tally) }
    }

    var activity: BlockActivity {
        var figures = [UInt64](repeating: 0, count: Tally.wordCount)
        state.withLock { state in state.all.forEach { $0.add(to: &figures) } }
        return Tally.activity(figures)
    }
}
