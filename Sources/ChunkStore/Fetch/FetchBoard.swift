// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// What is to be done after the lock of the board has been given back.
struct FetchActions {
    var starts: [Transfer] = []
    var cancels: [any FetchCancellation] = []
    var resumes: [any FetchCancellation] = []
    /// Completions, for a thread of the decoder.
    var calls: [@Sendable () -> Void] = []
    /// Chunks of which a reference is given back.
    var drops: [UInt32] = []
    var promotions: [DecoderLane] = []
    var logs: [@Sendable () -> Void] = []
    /// Progress, told by the timer's thread.
    var reports: [@Sendable () -> Void] = []
    var wakesTimer = false
}

/// All that the engine knows: what is wanted, what is under way, and what the sources are like.
///
/// Kept inside a lock. Its methods never call out: they note in `actions` what their caller is to do
/// afterwards.
final class FetchBoard {
    let store: ChunkStore
    var limits: FetchLimits
    /// Set before the board is used.
    weak var core: FetchCore?
    var flights: [UInt32: Flight] = [:]
    var packs: [Digest: FetchPack] = [:]
    var sources: [FetchSource] = []
    var sourcesByID: [SourceID: FetchSource] = [:]
    var wants: [UInt64: Want] = [:]
    /// Chunks that wait for a request, by class; some may have left in another way.
    var queues = [[Flight]](repeating: [], count: FetchClass.allCases.count)
    /// Chunks that wait for their next try.
    var sleepers: [Flight] = []
    var transfers: [UInt64: Transfer] = [:]
    var pausedTransfers: [Transfer] = []
    var walks: [Walk] = []
    var buckets: [TokenBucket]
    var fetchedBytes = [UInt64](repeating: 0, count: FetchClass.allCases.count)

    /// How long wants of each class waited that were answered with success, and how many were not.
    var waits = [DurationHistogram](repeating: DurationHistogram(), count: FetchClass.allCases.count)
    var failedWants: UInt64 = 0
    /// Chunks that were asked for again, after a source had not brought them.
    var retries: UInt64 = 0
    /// Chunks that came and were stored, and their bytes as they came and as they are.
    var storedChunks: UInt64 = 0
    var storedPackedBytes: UInt64 = 0
    var storedPlainBytes: UInt64 = 0

    /// Requests that may be raced, saved up.
    var hedgeCredit = 2.0
    var hedges: UInt64 = 0
    var hedgesWon: UInt64 = 0
    var isShut = false
    /// The timer sleeps until it is woken.
    var timerSleeps = false
    var lastLookup = MonotonicTime(nanoseconds: 0)
    private var lastNumber: UInt64 = 0

    init(store: ChunkStore, limits: FetchLimits) {
        self.store = store
        self.limits = limits
        buckets = FetchClass.allCases.map { TokenBucket(limits[$0].bytesPerSecond) }
    }

    func nextNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    /// True when the timer has something to look after.
    var isActive: Bool {
        !transfers.isEmpty || !sleepers.isEmpty || !wants.isEmpty || !walks.isEmpty
    }

    // MARK: Packs and sources

    /// The pack of a place, with those of its sources that are known.
    func pack(of place: ChunkPlace) -> FetchPack {
        let pack = packs[place.pack.digest] ?? FetchPack(place.pack)
        if packs[place.pack.digest] == nil { packs[place.pack.digest] = pack }
        if pack.sources.count + pack.unresolved.count < place.sources.count {
            pack.unresolved = []
            for id in place.sources {
                guard let source = sourcesByID[id] else {
                    pack.unresolved.append(id)
                    continue
                }
                if !pack.sources.contains(where: { $0 === source }) { pack.sources.append(source) }
            }
        }
        return pack
    }

    /// Tells about sources that somebody looked up.
    func learn(_ found: [SourceID: any PackSource]) {
        for (id, object) in found where sourcesByID[id] == nil {
            // Two names of one place share what is learnt about it.
            let source = sources.first { $0.object === object } ?? FetchSource(object)
            if !sources.contains(where: { $0 === source }) { sources.append(source) }
            sourcesByID[id] = source
        }
        for pack in packs.values where !pack.unresolved.isEmpty {
            for id in pack.unresolved {
                guard let source = sourcesByID[id] else { continue }
                if !pack.sources.contains(where: { $0 === source }) { pack.sources.append(source) }
            }
            pack.unresolved.removeAll { sourcesByID[$0] != nil }
        }
    }

    /// Sources that chunks wait for and that nobody could name yet.
    var unresolved: Set<SourceID> {
        var ids: Set<SourceID> = []
        for pack in packs.values where pack.flights > 0 { ids.formUnion(pack.unresolved) }
        return ids
    }

    /// Forgets packs of which nothing is wanted, once there are many.
    func prunePacks() {
        if packs.count < 1024 { return }
        var used: Set<Digest> = []
        for walk in walks { for pack in walk.packs { used.insert(pack.info.digest) } }
        packs = packs.filter { $1.flights > 0 || used.contains($0) }
    }
}

/// Bytes that a class may still take at the moment, at a bounded rate.
struct TokenBucket {
    private(set) var rate: UInt64?
    private var tokens: Double = 0
    private var last: MonotonicTime?

    init(_ rate: UInt64?) {
        self.rate = rate
    }

    mutating func setRate(_ rate: UInt64?) {
        self.rate = rate
        tokens = 0
        last = nil
    }

    private mutating func refill(_ now: MonotonicTime) {
        guard let rate else { return }
        let seconds = last.map { now.seconds(since: $0) } ?? 0
        last = now
        // A twentieth of a second saved up at most: a cap is also one for short stretches.
        tokens = min(Double(rate) / 20, tokens + Double(rate) * seconds)
    }

    /// True while the class may take more.
    mutating func isOpen(_ now: MonotonicTime) -> Bool {
        if rate == nil { return true }
        refill(now)
        return tokens >= 0
    }

    mutating func take(_ count: Int) {
        if rate != nil { tokens -= Double(count) }
    }
}
