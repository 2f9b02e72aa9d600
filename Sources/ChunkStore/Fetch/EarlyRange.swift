// SPDX-License-Identifier: Apache-2.0

import Base

/// A range of a pack that is under way before it is known which chunks lie in it.
///
/// What arrives is kept, up to a bound, until a transfer takes the range over; then the transfer hears what is
/// kept and what follows, as if it had asked itself. Stands between a source and a transfer, as the receiver of
/// the one and what the other cancels.
final class EarlyRange: RangeReceiver, FetchCancellation, Sendable {
    private struct State {
        var kept: [[UInt8]] = []
        /// Index of the first piece that nobody has heard.
        var next = 0
        var keptBytes = 0
        /// The byte of the pack that the next piece begins with.
        var position: UInt64
        /// How the source ended.
        var end: Result<Void, SourceFailure>?
        var target: (any RangeReceiver)?
        /// What the target wants of the pack.
        var wanted: Range<UInt64>
        var source: (any FetchCancellation)?
        var sourcePauses = false
        var targetPauses = false
        /// `resume` came while the target was being told.
        var mustResume = false
        /// A thread is telling the target.
        var isTelling = false
        var isCancelled = false
        /// The target has heard its end, or will never hear anything.
        var isOver = false
    }

    private enum Step {
        case tell([UInt8], any RangeReceiver)
        case end(SourceFailure?, any RangeReceiver)
    }

    /// Bytes that are kept at most: some hundredths of a second of a fast line, in which a map is decoded.
    static let keptLimit = 8 << 20

    let range: Range<UInt64>
    private let state: Lock<State>

    init(_ range: Range<UInt64>) {
        self.range = range
        state = Lock(State(position: range.lowerBound, wanted: range))
    }

    /// Tells what to end when the range is not wanted any more.
    func begun(_ source: any FetchCancellation) {
        let isOver = state.withLock { state in
            state.source = source
            return state.isOver
        }
        if isOver { source.cancel() }
    }

    /// Gives the rest of the range's life to a transfer; false when it has been given away or has failed.
    ///
    /// `tellKept` is to follow, on a thread that has time.
    /// - Parameter wanted: lies within the range.
    func hand(to target: any RangeReceiver, _ wanted: Range<UInt64>) -> Bool {
        precondition(range.lowerBound <= wanted.lowerBound && wanted.upperBound <= range.upperBound)
        return state.withLock { state in
            if state.isOver || state.target != nil { return false }
            if case .failure = state.end { return false }
            state.target = target
            state.wanted = wanted
            return true
        }
    }

    /// Lets the transfer hear what is kept by now.
    ///
    /// What comes meanwhile is left to the thread that brings more, so that nobody is kept here for as long
    /// as the range lasts.
    func tellKept() {
        let last = state.withLock { $0.kept.count }
        tell { $0.next < last || $0.end != nil }
    }

    // MARK: The source's side

    func receive(_ bytes: UnsafeRawBufferPointer) -> RangeFlow {
        let flow = state.withLock { state -> RangeFlow in
            if state.isOver { return .stop }
            if state.keptBytes + bytes.count > Self.keptLimit {
                state.sourcePauses = true
                return .pause
            }
            state.kept.append(Array(bytes))
            state.keptBytes += bytes.count
            return .proceed
        }
        if flow == .proceed { tell() }
        return flow
    }

    func finish(_ failure: SourceFailure?) {
        state.withLock { $0.end = failure.map { .failure($0) } ?? .success(()) }
        tell()
    }

    // MARK: The transfer's side

    func cancel() {
        let source = state.withLock { state in
            state.isCancelled = true
            if state.target == nil { state.isOver = true }
            return state.source
        }
        source?.cancel()
        tell()
    }

    func resume() {
        state.withLock { state in
            if state.isTelling { state.mustResume = true }
            state.targetPauses = false
        }
        tell()
    }

    // MARK: Between the two

    /// Tells the target what there is to tell, unless another thread does: it will see what is new, or its
    /// own thread will that brings more.
    private func tell(while goesOn: (State) -> Bool = { _ in true }) {
        while let step = state.withLock({ goesOn($0) ? next(&$0) : nil }) {
            switch step {
            case .tell(let bytes, let target):
                let flow = bytes.withUnsafeBytes { target.receive(window(of: $0)) }
                let (resumed, ended) = state.withLock { told(flow, bytes.count, &$0) }
                resumed?.resume()
                ended?.cancel()
            case .end(let failure, let target):
                target.finish(failure)
            }
        }
    }

    private func next(_ state: inout State) -> Step? {
        guard let target = state.target, !state.isOver, !state.isTelling else { return nil }
        if state.isCancelled { return end(.cancelled, target, &state) }
        if state.position >= state.wanted.upperBound { return end(nil, target, &state) }
        if state.targetPauses { return nil }
        if state.next < state.kept.count {
            state.isTelling = true
            return .tell(state.kept[state.next], target)
        }
        switch state.end {
        case nil: return nil
        case .failure(let failure): return end(failure, target, &state)
        case .success: return end(.invalid("the range ended early"), target, &state)
        }
    }

    private func end(_ failure: SourceFailure?, _ target: any RangeReceiver, _ state: inout State) -> Step {
        state.isOver = true
        state.kept = []
        state.target = nil
        return .end(failure, target)
    }

    /// The part of the piece at the present position that the target wants.
    private func window(of bytes: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer {
        let (position, wanted) = state.withLock { ($0.position, $0.wanted) }
        let count = UInt64(bytes.count)
        let first = Int(min(count, max(position, wanted.lowerBound) - position))
        let last = Int(min(count, max(position, wanted.upperBound) - position))
        return UnsafeRawBufferPointer(rebasing: bytes[first..<max(first, last)])
    }

    /// Takes note of what the target said to a piece; gives whom to let go on, and whom to end.
    private func told(
        _ flow: RangeFlow, _ count: Int, _ state: inout State
    ) -> ((any FetchCancellation)?, (any FetchCancellation)?) {
        state.isTelling = false
        let wasResumed = state.mustResume
        state.mustResume = false
        switch flow {
        case .pause:
            state.targetPauses = !wasResumed
            return (nil, nil)
        case .stop:
            state.isCancelled = true
            return (nil, state.source)
        case .proceed:
            state.kept[state.next] = []
            state.next += 1
            state.keptBytes -= count
            state.position += UInt64(count)
            if state.position >= state.wanted.upperBound {
                // A source that has nothing more to send keeps its connection when it is left alone.
                return (nil, state.wanted.upperBound < range.upperBound ? state.source : nil)
            }
            if !state.sourcePauses || state.keptBytes > Self.keptLimit / 2 { return (nil, nil) }
            state.sourcePauses = false
            return (state.source, nil)
        }
    }
}

/// The early ranges that nobody has taken over, by pack.
final class EarlyRanges: Sendable {
    private struct Entry {
        let source: ObjectIdentifier
        let range: EarlyRange
    }

    private let entries = Lock<[Digest: Entry]>([:])

    /// - Returns: false when there is one of the pack already.
    func add(_ range: EarlyRange, of pack: PackInfo, at source: any PackSource) -> Bool {
        entries.withLock { entries in
            if entries[pack.digest] != nil { return false }
            entries[pack.digest] = Entry(source: ObjectIdentifier(source), range: range)
            return true
        }
    }

    /// Hands a range over that covers the one that the transfer is to fetch; nil when there is none.
    func hand(to transfer: Transfer) -> EarlyRange? {
        let found = entries.withLock { entries -> EarlyRange? in
            guard let entry = entries[transfer.pack.info.digest],
                entry.source == ObjectIdentifier(transfer.source.object),
                entry.range.range.contains(transfer.range.lowerBound),
                transfer.range.upperBound <= entry.range.range.upperBound
            else { return nil }
            entries[transfer.pack.info.digest] = nil
            return entry.range
        }
        return found.flatMap { $0.hand(to: transfer, transfer.range) ? $0 : nil }
    }

    func remove(_ pack: PackInfo) -> EarlyRange? {
        entries.withLock { $0.removeValue(forKey: pack.digest)?.range }
    }
}
