// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// Neighbouring chunks of one request, decoded one after the other so that they come to lie side by side in
/// the store; different lanes are decoded at once.
///
/// Guarded by the lock of the decoder.
final class DecoderLane: @unchecked Sendable {
    // Unchecked because: variables are only touched under the lock of the decoder, and `entries` only by the
    // one thread that has taken the lane.
    var `class`: FetchClass
    private var pieces: [FetchedPiece?] = []
    private var next = 0
    /// In a list of the decoder, or taken by one of its threads.
    var isScheduled = false
    var isTaken = false
    let store: ChunkStore
    private var plannedBytes: UInt64 = 0
    private var entries: ChunkEntries?

    private init(_ class: FetchClass, _ store: ChunkStore) {
        self.class = `class`
        self.store = store
    }

    /// Plain bytes of a lane: so many that a long read finds few pieces, so few that a waiting reader has
    /// several threads at work for it.
    private static func laneBytes(_ class: FetchClass) -> UInt64 {
        `class` == .demand ? 256 << 10 : 1 << 20
    }

    static func split(_ flights: [Flight], class: FetchClass, store: ChunkStore) -> [Transfer.Part] {
        var parts: [Transfer.Part] = []
        parts.reserveCapacity(flights.count)
        var lane = DecoderLane(`class`, store)
        let slots = store.core.slots
        for flight in flights {
            if lane.plannedBytes >= laneBytes(`class`) { lane = DecoderLane(`class`, store) }
            lane.plannedBytes += UInt64(slots[flight.handle].byteCount)
            parts.append(Transfer.Part(flight: flight, place: flight.place, lane: lane))
        }
        return parts
    }

    var isEmpty: Bool { next == pieces.count }

    func add(_ piece: FetchedPiece) {
        pieces.append(piece)
    }

    func takeNext() -> FetchedPiece? {
        guard next < pieces.count else { return nil }
        defer {
            pieces[next] = nil
            next += 1
        }
        return pieces[next]
    }

    func dropAll() {
        pieces = []
        next = 0
    }

    /// Stores the plain bytes of a chunk, checked against its digest.
    func enter(_ handle: ChunkHandle, _ plain: UnsafeRawBufferPointer) throws(ChunkStoreError) {
        let series = entries ?? store.beginEntries(plannedBytes: plannedBytes)
        entries = series
        try series.enter(handle, plain: plain)
    }
}
