// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// Hashes batches on a few threads and stores them in their order.
///
/// A session that only uses `add` has no threads: its batches come hashed and are stored by the caller.
final class IngestPipeline: Sendable {
    /// Threads that hash; more would wait for the one that reads the layers.
    static let threadCount = 2
    /// Batches that may be under way; the adding thread waits when there are more.
    private static let depth = 4

    private struct State {
        /// Used by whoever holds the turn, and by the caller when nothing is under way.
        let writer: IngestWriter
        var waiting: [(sequence: Int, batch: IngestBatch)] = []
        var spare: [IngestBatch] = []
        /// Batches given in, and batches stored or given up.
        var submitted = 0
        var settled = 0
        var failure: ChunkStoreError?
        var results: [ChunkDescriptor?] = []
        var counters = IngestCounters()
        var threads: [NamedThread] = []
        var stopping = false
    }

    private let state: Monitor<State>

    init(_ core: StoreCore) {
        state = Monitor(State(writer: IngestWriter(core)))
    }

    var counters: IngestCounters { state.withLock { $0.counters } }

    // MARK: The adding thread

    /// An empty batch.
    func makeBatch() -> IngestBatch {
        state.withLock { $0.spare.popLast() } ?? IngestBatch()
    }

    /// Reserves a place for a result that comes later; nil there means a hole.
    func makeTicket() -> Int {
        state.withLock { state in
            state.results.append(nil)
            return state.results.count - 1
        }
    }

    /// Starts the threads that hash, once.
    func startThreads() throws(ChunkStoreError) {
        do throws(SystemError) {
            try state.withLock { (state: inout State) throws(SystemError) in
                while state.threads.count < Self.threadCount {
                    let monitor = self.state
                    state.threads.append(try NamedThread("chunk-hash") { Self.run(monitor) })
                }
            }
        } catch {
            throw .system(error)
        }
    }

    /// Gives a batch in; a failure of an earlier one is thrown here.
    func submit(_ batch: IngestBatch) throws(ChunkStoreError) {
        let sequence: Int? = state.wait { state in
            if state.failure != nil { return .some(nil) }
            if state.submitted - state.settled >= Self.depth { return nil }
            state.submitted += 1
            if !state.threads.isEmpty { state.waiting.append((state.submitted - 1, batch)) }
            return .some(state.submitted - 1)
        }
        // Monitor.wait wakes only those that wait already; a thread that goes to sleep later sees the queue.
        guard let sequence else { throw failureOrEnded() }
        if state.withLock({ $0.threads.isEmpty }) { Self.settle(batch, sequence, state) }
        if state.withLock({ $0.failure != nil }) { throw failureOrEnded() }
    }

    private func failureOrEnded() -> ChunkStoreError {
        state.withLock { $0.failure } ?? .sessionEnded
    }

    /// Waits until nothing is under way.
    func drain() throws(ChunkStoreError) {
        let failure: ChunkStoreError? = state.wait { state in
            state.submitted == state.settled ? .some(state.failure) : nil
        }
        if let failure { throw failure }
    }

    func results() -> [ChunkDescriptor?] { state.withLock { $0.results } }

    /// Makes all that was stored durable; nothing is under way.
    func commit() throws(ChunkStoreError) {
        let writer = state.withLock { $0.writer }
        do throws(ChunkStoreError) {
            try writer.commit()
        } catch {
            state.withLock { $0.failure = error }
            throw error
        }
    }

    /// Ends the threads and drops the references.
    func end() {
        let threads = state.withLock { state in
            state.stopping = true
            if state.failure == nil { state.failure = .sessionEnded }
            defer { state.threads = [] }
            return state.threads
        }
        for thread in threads { thread.join() }
        let writer = state.withLock { $0.writer }
        writer.release()
    }

    // MARK: The hashing threads

    private static func run(_ monitor: Monitor<State>) {
        while true {
            let work: (sequence: Int, batch: IngestBatch)? = monitor.wait { state in
                if state.stopping { return .some(nil) }
                return state.waiting.isEmpty ? nil : .some(state.waiting.removeFirst())
            }
            guard let (sequence, batch) = work else { return }
            batch.hash()
            settle(batch, sequence, monitor)
        }
    }

    /// Waits for the batch's turn and stores it, unless an earlier one has failed.
    private static func settle(_ batch: IngestBatch, _ sequence: Int, _ monitor: Monitor<State>) {
        let writer: IngestWriter? = monitor.wait { state in
            if state.stopping || state.failure != nil { return .some(nil) }
            return state.settled == sequence ? .some(state.writer) : nil
        }
        var failure: ChunkStoreError?
        if let writer {
            do throws(ChunkStoreError) { try writer.store(batch) } catch { failure = error }
        }
        monitor.withLock { state in
            if let writer { state.counters = writer.counters }
            if state.failure == nil { state.failure = failure }
            for item in batch.items {
                guard let ticket = item.ticket, let digest = item.digest else { continue }
                state.results[ticket] = ChunkDescriptor(digest: digest, blockCount: item.blockCount)
            }
            batch.clear()
            state.spare.append(batch)
            state.settled += 1
        }
    }
}
