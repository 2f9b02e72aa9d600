// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import CZstd
import Glibc
import Synchronization

/// What became of the bytes of a chunk.
enum DecodeOutcome {
    case stored
    /// The bytes are not those of the chunk.
    case damaged(String)
    /// They are, and could not be stored.
    case failed(ChunkStoreError)
}

/// A few plain threads that decompress, check and store chunks, the most urgent first, and call completions.
final class Decoder: Sendable {
    private struct State {
        /// Lanes with pieces, by class; a lane that has moved to another class may stand in several.
        var ready = [[DecoderLane]](repeating: [], count: FetchClass.allCases.count)
        var heads = [Int](repeating: 0, count: FetchClass.allCases.count)
        var calls: [@Sendable () -> Void] = []
        var isStopping = false
    }

    private enum Work {
        case piece(FetchedPiece, DecoderLane)
        case calls([@Sendable () -> Void])
        case stop
    }

    private let state = Monitor(State())
    private let threads = Lock<[NamedThread]>([])
    private let identities = Lock<[pthread_t]>([])
    private static let niceness: Int32 = 5

    /// Bytes of pieces that are not stored yet.
    private let held = Atomic<Int>(0)

    /// - Parameter done: called on a thread of the decoder after each piece.
    func start(
        threads count: Int, done: @escaping @Sendable (FetchedPiece, DecodeOutcome) -> Void
    ) throws(SystemError) {
        for number in 0..<max(1, count) {
            let thread = try NamedThread("fetch-decode-\(number % 100)") { [self] in run(done) }
            threads.withLock { $0.append(thread) }
        }
    }

    /// Bytes that were received and are not yet stored.
    var heldBytes: Int { held.load(ordering: .relaxed) }

    func submit(_ piece: FetchedPiece, to lane: DecoderLane) {
        held.add(piece.bytes.count, ordering: .relaxed)
        state.withLock { state in
            lane.add(piece)
            schedule(lane, &state)
        }
    }

    private func schedule(_ lane: DecoderLane, _ state: inout State) {
        if lane.isScheduled { return }
        lane.isScheduled = true
        state.ready[Int(lane.class.rawValue)].append(lane)
    }

    /// A reader waits for a chunk of the lane.
    func promote(_ lane: DecoderLane) {
        state.withLock { state in
            if lane.class == .demand { return }
            lane.class = .demand
            if lane.isScheduled, !lane.isTaken { state.ready[0].append(lane) }
        }
    }

    /// Runs completions on a thread of the decoder, before anything else; false when it has ended.
    @discardableResult
    func run(_ calls: [@Sendable () -> Void]) -> Bool {
        state.withLock { state in
            if state.isStopping { return false }
            state.calls += calls
            return true
        }
    }

    /// Ends the threads when all calls have been made; pieces that wait are dropped.
    func stop() {
        state.withLock { state in
            state.isStopping = true
            for lane in state.ready.joined() { lane.dropAll() }
        }
        if isOwnThread { return }
        for thread in threads.withLock({ threads in
            defer { threads = [] }
            return threads
        }) { thread.join() }
    }

    var isOwnThread: Bool {
        let own = pthread_self()
        return identities.withLock { $0.contains { pthread_equal($0, own) != 0 } }
    }

    // MARK: The threads

    private func run(_ done: @Sendable (FetchedPiece, DecodeOutcome) -> Void) {
        identities.withLock { $0.append(pthread_self()) }
        // Most of what a boot pack holds is wanted later than what a container that starts is doing now.
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.niceness)
        let inflater = Inflater()
        while true {
            switch state.wait({ self.next(&$0) }) {
            case .stop: return
            case .calls(let calls): for call in calls { call() }
            case .piece(let piece, let lane):
                let outcome = decode(piece, lane, inflater)
                state.withLock { state in
                    lane.isTaken = false
                    lane.isScheduled = false
                    if !lane.isEmpty { schedule(lane, &state) }
                }
                held.subtract(piece.bytes.count, ordering: .relaxed)
                done(piece, outcome)
            }
        }
    }

    private func next(_ state: inout State) -> Work? {
        if !state.calls.isEmpty {
            defer { state.calls = [] }
            return .calls(state.calls)
        }
        if state.isStopping { return .stop }
        for index in state.ready.indices {
            while state.heads[index] < state.ready[index].count {
                let lane = state.ready[index][state.heads[index]]
                state.heads[index] += 1
                if state.heads[index] >= 256 {
                    state.ready[index].removeFirst(state.heads[index])
                    state.heads[index] = 0
                }
                // It stands in the list of another class too, or has been served from there.
                if lane.isTaken || !lane.isScheduled || Int(lane.class.rawValue) != index { continue }
                guard let piece = lane.takeNext() else { continue }
                lane.isTaken = true
                return .piece(piece, lane)
            }
            state.ready[index].removeAll(keepingCapacity: true)
            state.heads[index] = 0
        }
        return nil
    }

    private func decode(_ piece: FetchedPiece, _ lane: DecoderLane, _ inflater: Inflater) -> DecodeOutcome {
        let handle = ChunkHandle(index: piece.flight.handle)
        let slot = lane.store.core.slots[handle.index]
        if slot.isPresent { return .stored }
        let stored = UnsafeRawBufferPointer(piece.bytes)
        var plain = stored
        if piece.place.coding == .zstd {
            guard let inflated = inflater.inflate(stored, byteCount: slot.byteCount) else {
                return .damaged("it does not decompress to \(slot.byteCount) bytes")
            }
            plain = inflated
        }
        do throws(ChunkStoreError) {
            try lane.enter(handle, plain)
            return .stored
        } catch {
            if case .wrongBytes = error { return .damaged("it does not match its digest") }
            return .failed(error)
        }
    }
}

/// A decompressor that keeps its memory between chunks; used by one thread.
private final class Inflater {
    private let context = ZSTD_createDCtx()
    private let target = UnsafeMutableRawBufferPointer.allocate(
        byteCount: Block.maximumChunkBytes, alignment: Block.bytes)

    deinit {
        ZSTD_freeDCtx(context)
        target.deallocate()
    }

    /// The plain bytes of one frame, good until the next call; nil unless they are exactly `byteCount`.
    func inflate(_ frame: UnsafeRawBufferPointer, byteCount: Int) -> UnsafeRawBufferPointer? {
        guard byteCount <= target.count else { return nil }
        let result = ZSTD_decompressDCtx(
            context, target.baseAddress, byteCount, frame.baseAddress, frame.count)
        guard ZSTD_isError(result) == 0, result == byteCount else { return nil }
        return UnsafeRawBufferPointer(rebasing: target[..<byteCount])
    }
}
