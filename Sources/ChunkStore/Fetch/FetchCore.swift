// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// The engine's inside: the board in its lock, the decoder and the timer.
///
/// Order of locks: the board's is taken before the chunk table's and the decoder's, and never while a source
/// is called.
final class FetchCore: Sendable {
    let store: ChunkStore
    let decoder = Decoder()
    let readers: ReadAhead
    let early = EarlyRanges()
    private let board: Lock<FetchBoard>
    private let timer = FetchTimer()
    private let resolve: @Sendable (SourceID) -> (any PackSource)?

    init(
        store: ChunkStore, limits: FetchLimits, resolve: @escaping @Sendable (SourceID) -> (any PackSource)?
    ) throws(ChunkStoreError) {
        self.store = store
        self.resolve = resolve
        readers = ReadAhead(limits)
        board = Lock(FetchBoard(store: store, limits: limits))
        board.withLock { $0.core = self }
        do throws(SystemError) {
            try decoder.start(threads: limits.decoderThreads) { [weak self] in self?.decoded($0, $1) }
            try timer.start { [weak self] in self?.tick() ?? nil }
        } catch {
            shutDown()
            throw ChunkStoreError(error)
        }
    }

    // MARK: The board

    /// Runs `body` with the board, and then does what it asks for.
    /// - Parameter inline: completions are called here and not by the decoder: the caller is one of its
    /// threads.
    @discardableResult
    func act<T>(
        inline: Bool = false, _ body: (FetchBoard, MonotonicTime, inout FetchActions) -> T
    ) -> T {
        var actions = FetchActions()
        let now = MonotonicTime.now
        let result = board.withLock { body($0, now, &actions) }
        perform(actions, inline: inline)
        return result
    }

    private func perform(_ actions: FetchActions, inline: Bool) {
        for lane in actions.promotions { decoder.promote(lane) }
        if inline {
            for call in actions.calls { call() }
        } else if !actions.calls.isEmpty {
            decoder.run(actions.calls)
        }
        for transfer in actions.starts { start(transfer) }
        for cancellation in actions.cancels { cancellation.cancel() }
        for cancellation in actions.resumes { cancellation.resume() }
        if !actions.drops.isEmpty { store.core.drop(actions.drops, .none) }
        for log in actions.logs { log() }
        for report in actions.reports { report() }
        if actions.wakesTimer { timer.wake() }
    }

    private func start(_ transfer: Transfer) {
        let taken = early.hand(to: transfer)
        if let taken, !decoder.run([{ taken.tellKept() }]) { taken.cancel() }
        let cancellation: any FetchCancellation =
            taken
            ?? transfer.source.object.fetch(
                transfer.pack.info.name, sizeBytes: transfer.pack.info.sizeBytes, range: transfer.range,
                class: transfer.ownClass, to: transfer)
        let (isEnded, mustResume) = board.withLock { _ in
            transfer.cancellation = cancellation
            defer { transfer.mustResume = false }
            return (transfer.isEnded, transfer.mustResume)
        }
        if isEnded { cancellation.cancel() }
        if mustResume { cancellation.resume() }
    }

    // MARK: What sources, decoder and timer tell

    func admit(_ count: Int, _ transfer: Transfer) -> RangeFlow {
        let held = decoder.heldBytes
        return act { board, now, actions in board.admit(count, transfer, now, held: held, &actions) }
    }

    func finished(_ transfer: Transfer, _ failure: SourceFailure?) {
        let held = decoder.heldBytes
        act { board, now, actions in
            board.finished(transfer, failure, now, &actions)
            board.pump(now, held: held, &actions)
            board.resumePaused(now, held: held, &actions)
        }
    }

    private func decoded(_ piece: FetchedPiece, _ outcome: DecodeOutcome) {
        let held = decoder.heldBytes
        act(inline: true) { board, now, actions in
            board.decoded(piece, outcome, now, &actions)
            board.pump(now, held: held, &actions)
            board.resumePaused(now, held: held, &actions)
        }
    }

    private func tick() -> Double? {
        let held = decoder.heldBytes
        let (pause, unresolved) = act { board, now, actions in
            (board.tick(now, held: held, &actions), board.dueUnresolved(now))
        }
        if !unresolved.isEmpty { learn(unresolved) }
        return pause
    }

    // MARK: Sources

    /// Looks up sources that the board does not know, outside of its lock.
    func learn(_ ids: some Sequence<SourceID>) {
        let unknown = board.withLock { board in ids.filter { board.sourcesByID[$0] == nil } }
        if unknown.isEmpty { return }
        var found: [SourceID: any PackSource] = [:]
        for id in unknown { found[id] = resolve(id) }
        if found.isEmpty { return }
        act { board, _, _ in board.learn(found) }
    }

    // MARK: Wants

    func want(
        _ chunks: [ChunkHandle], class: FetchClass, owner: UInt64,
        _ completion: @escaping @Sendable (FetchFailure?) -> Void
    ) -> WantID? {
        let absent = chunks.filter { !store.isPresent($0) }
        if absent.isEmpty {
            answer(completion, nil)
            return nil
        }
        var targets: [(handle: ChunkHandle, place: ChunkPlace)] = []
        targets.reserveCapacity(absent.count)
        var sources: Set<SourceID> = []
        for (handle, (chunk, place)) in zip(absent, store.placed(absent)) {
            if let place {
                targets.append((handle, place))
                sources.formUnion(place.sources)
            } else if !store.isPresent(handle) {
                answer(completion, .unreachable(chunk: chunk.digest, pack: nil, attempts: [], seconds: 0))
                return nil
            }
        }
        learn(sources)
        targets.sort {
            ($0.place.pack.digest.words.0, $0.place.offset) < ($1.place.pack.digest.words.0, $1.place.offset)
        }
        return enter(targets, class: `class`, owner: owner, completion)
    }

    private func enter(
        _ targets: [(handle: ChunkHandle, place: ChunkPlace)], class: FetchClass, owner: UInt64,
        _ completion: @escaping @Sendable (FetchFailure?) -> Void
    ) -> WantID? {
        let held = decoder.heldBytes
        let (id, isShut) = act { board, now, actions -> (WantID?, Bool) in
            if board.isShut { return (nil, true) }
            let want = Want(
                WantID(number: board.nextNumber()), owner: owner, class: `class`, since: now, completion)
            guard board.add(want, targets, now, &actions) else { return (nil, false) }
            board.pump(now, held: held, &actions)
            return (WantID(number: want.id.number, joined: want.joined), false)
        }
        if id == nil { answer(completion, isShut ? .cancelled : nil) }
        return id
    }

    /// Answers a want that never came onto the board.
    private func answer(
        _ completion: @escaping @Sendable (FetchFailure?) -> Void, _ failure: FetchFailure?
    ) {
        if !decoder.run([{ completion(failure) }]) { completion(failure) }
    }

    func wantAndWait(_ chunks: [ChunkHandle], class: FetchClass, seconds: Double) throws(FetchFailure) {
        let answer = Monitor<Result<Void, FetchFailure>?>(nil)
        let deadline = MonotonicTime.now.advanced(bySeconds: seconds)
        _ = want(chunks, class: `class`, owner: 0) { failure in
            answer.withLock { $0 = failure.map { .failure($0) } ?? .success(()) }
        }
        guard let result = answer.wait(until: deadline, { $0 }) else { throw .timedOut(seconds: seconds) }
        try result.get()
    }

    func cancel(_ id: WantID) {
        act { board, _, actions in
            if let want = board.wants[id.number] { board.giveUp(want, .cancelled, &actions) }
        }
    }

    func cancel(owner: UInt64) {
        act { board, _, actions in
            for want in board.wants.values.filter({ $0.owner == owner }) {
                board.giveUp(want, .cancelled, &actions)
            }
            for walk in board.walks where walk.owner == owner { walk.isCancelled = true }
        }
        timer.wake()
    }

    func setBytesPerSecond(_ rate: UInt64?, of class: FetchClass) {
        act { board, _, _ in
            board.limits[`class`].bytesPerSecond = rate
            board.buckets[Int(`class`.rawValue)].setRate(rate)
        }
    }

    // MARK: End

    func shutDown() {
        let walks = act { board, now, actions -> [Walk] in
            board.isShut = true
            for transfer in Array(board.transfers.values) { board.end(transfer, &actions) }
            for want in Array(board.wants.values) { board.giveUp(want, .cancelled, &actions) }
            for flight in Array(board.flights.values) {
                flight.transfers = []
                board.remove(flight, &actions)
            }
            defer { board.walks = [] }
            return board.walks
        }
        timer.stop(mayJoin: !decoder.isOwnThread)
        decoder.stop()
        act { board, now, actions in
            for walk in walks { board.report(walk, .cancelled, now, &actions) }
        }
        readers.removeAll()
    }
}
