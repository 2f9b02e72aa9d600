// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// A call of `want` that is not answered yet.
///
/// Guarded by the lock of the board.
final class Want {
    let id: WantID
    let owner: UInt64
    let `class`: FetchClass
    let since: MonotonicTime
    let completion: @Sendable (FetchFailure?) -> Void
    /// See `WantID.joined`.
    var joined: FetchClass?
    /// The chunks that it still waits for.
    var flights: [Flight] = []

    init(
        _ id: WantID, owner: UInt64, class: FetchClass, since: MonotonicTime,
        _ completion: @escaping @Sendable (FetchFailure?) -> Void
    ) {
        self.id = id
        self.owner = owner
        self.class = `class`
        self.since = since
        self.completion = completion
    }
}

/// An absent chunk that somebody wants or that is on its way: one for each chunk, however many wait.
///
/// Guarded by the lock of the board, but for what never changes. Holds a reference on the chunk.
final class Flight: @unchecked Sendable {
    // Unchecked because: variables are only touched under the lock of the board.
    let handle: UInt32
    /// Where it is fetched from; another place may be taken while nothing is being done for it.
    private(set) var pack: FetchPack
    private(set) var place: ChunkPlace

    /// The most urgent class that wants it.
    var `class`: FetchClass
    var since: MonotonicTime
    var waiters: [Want] = []
    /// Requests under way that will bring it, mostly one.
    var transfers: [Transfer] = []
    /// Copies of its bytes that wait for a decoder or are in one, and the lane of the latest.
    var decoding = 0
    var lane: DecoderLane?
    /// In a queue, and in `pack.queued`.
    var isQueued = false
    var isDone = false
    /// The walk that began it, and its place there.
    weak var walk: Walk?
    var walkEntry = 0

    /// What each source answered last.
    var attempts: [(source: FetchSource, failure: SourceFailure)] = []
    /// Sources that delivered no good bytes since all were tried last.
    var excluded: [FetchSource] = []
    /// How often all sources have failed.
    var rounds = 0
    /// The chunk came and could not be stored, for now.
    var lackOfRoom: ChunkStoreError?
    /// Not to be tried earlier.
    var notBefore: MonotonicTime?

    init(
        handle: UInt32, pack: FetchPack, place: ChunkPlace, class: FetchClass, since: MonotonicTime
    ) {
        self.handle = handle
        self.pack = pack
        self.place = place
        self.class = `class`
        self.since = since
    }

    var offset: UInt64 { place.offset }
    var byteCount: Int { place.byteCount }
    var end: UInt64 { place.offset + UInt64(place.byteCount) }
    /// True when nothing is being done for it.
    var isIdle: Bool { transfers.isEmpty && decoding == 0 && !isQueued && notBefore == nil }

    /// Takes another place of the chunk, after the sources of this one have all failed.
    func move(to place: ChunkPlace, in pack: FetchPack) {
        assert(transfers.isEmpty && !isQueued, "only a resting chunk moves")
        self.pack.flights -= 1
        pack.flights += 1
        self.pack = pack
        self.place = place
        excluded = []
    }

    func note(_ failure: SourceFailure, of source: FetchSource) {
        if let index = attempts.firstIndex(where: { $0.source === source }) {
            attempts[index].failure = failure
        } else {
            attempts.append((source, failure))
        }
    }

    var publicAttempts: [FetchFailure.Attempt] {
        attempts.map { FetchFailure.Attempt(source: $0.source.name, failure: $0.failure) }
    }
}

/// A pack of which chunks are wanted.
///
/// Guarded by the lock of the board, but for what never changes.
final class FetchPack: @unchecked Sendable {
    // Unchecked because: variables are only touched under the lock of the board.
    let info: PackInfo
    /// In the order in which they were named.
    var sources: [FetchSource] = []
    /// Sources that nobody here knows how to reach.
    var unresolved: [SourceID] = []
    /// Queued chunks by their first byte.
    var queued: [UInt64: Flight] = [:]
    /// Chunks under way or queued.
    var flights = 0
    /// Part of a pause that is waited, so that machines that failed together do not come back together.
    let jitter = Double.random(in: 0.5...1)
    /// Sources that refused this pack, until when they are left alone for it, and how often that was so.
    private var refusals: [(source: FetchSource, until: MonotonicTime, count: Int)] = []

    init(_ info: PackInfo) {
        self.info = info
    }

    func isRefused(by source: FetchSource, _ now: MonotonicTime) -> Bool {
        refusals.contains { $0.source === source && $0.until > now }
    }

    /// The source has no such pack or gives it to nobody: asked again after a second, then more and more
    /// rarely.
    func noteRefusal(by source: FetchSource, _ now: MonotonicTime) {
        let index = refusals.firstIndex { $0.source === source }
        let count = (index.map { refusals[$0].count } ?? 0) + 1
        let until = now.advanced(bySeconds: min(8, 0.5 * Double(1 << min(count, 5))))
        if let index { refusals.remove(at: index) }
        refusals.append((source, until, count))
    }

    func clearRefusal(by source: FetchSource) {
        if !refusals.isEmpty { refusals.removeAll { $0.source === source } }
    }
}
