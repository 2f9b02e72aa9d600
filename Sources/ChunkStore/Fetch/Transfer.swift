// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// The bytes of one chunk as they lie in its pack.
final class FetchedPiece: @unchecked Sendable {
    // Unchecked because: it is filled by one thread and then handed to another one.
    let flight: Flight
    let place: ChunkPlace
    let transfer: Transfer
    let bytes: UnsafeMutableRawBufferPointer
    var filled = 0

    init(_ flight: Flight, _ place: ChunkPlace, _ transfer: Transfer) {
        self.flight = flight
        self.place = place
        self.transfer = transfer
        bytes = .allocate(byteCount: place.byteCount, alignment: 64)
    }

    deinit {
        bytes.deallocate()
    }
}

/// One request: a range of a pack that holds the bytes of some chunks.
///
/// What arrives is copied chunk by chunk and handed to the decoder when a chunk is whole.
final class Transfer: RangeReceiver, @unchecked Sendable {
    // Unchecked because: what is said to be the board's is only touched under its lock, and what is the
    // receiver's only by the one thread at a time that delivers.
    struct Part {
        let flight: Flight
        let place: ChunkPlace
        let lane: DecoderLane
    }

    let number: UInt64
    let source: FetchSource
    let pack: FetchPack
    let range: Range<UInt64>
    let ownClass: FetchClass
    /// The chunks in the order of their bytes.
    let parts: [Part]
    let begun: MonotonicTime
    /// Races another request.
    let isHedge: Bool
    private weak var core: FetchCore?

    // The board's.
    var received: UInt64 = 0
    var firstByte: MonotonicTime?
    var lastByte: MonotonicTime
    /// The first part of which bytes are missing.
    var nextPart = 0
    /// Parts that are neither delivered nor done in another way.
    var open: Int
    /// A reader waits for bytes up to here.
    var urgentEnd: UInt64 = 0
    var pausedSince: MonotonicTime?
    var pausedSeconds: Double = 0
    var isEnded = false
    /// Nil until the source has taken the request.
    var cancellation: (any FetchCancellation)?
    /// It was to go on before the source had taken the request.
    var mustResume = false
    /// Another source is racing it.
    var isRaced = false
    /// Its share of `FetchSource.demandBytes`.
    private var demandBytes: UInt64 = 0
    weak var walk: Walk?

    // The receiver's.
    private var fillingPart = 0
    private var filling: FetchedPiece?
    private var position: UInt64

    init(
        number: UInt64, source: FetchSource, pack: FetchPack, flights: [Flight], class: FetchClass,
        isHedge: Bool, now: MonotonicTime, core: FetchCore?, store: ChunkStore
    ) {
        self.number = number
        self.source = source
        self.pack = pack
        self.core = core
        self.isHedge = isHedge
        ownClass = `class`
        range = (flights.first?.offset ?? 0)..<(flights.last?.end ?? 0)
        parts = DecoderLane.split(flights, class: `class`, store: store)
        begun = now
        lastByte = now
        open = flights.count
        position = range.lowerBound
    }

    // MARK: The board's view

    var urgency: FetchClass { range.lowerBound + received < urgentEnd ? .demand : ownClass }
    var isPaused: Bool { pausedSince != nil }

    /// Brings the source's count of bytes that readers wait for up to date.
    func recount() {
        let position = range.lowerBound + received
        let count = isEnded || urgentEnd < position ? 0 : urgentEnd - position
        source.demandBytes = source.demandBytes + count - demandBytes
        demandBytes = count
    }

    var missingBytes: UInt64 { UInt64(range.count) - min(received, UInt64(range.count)) }

    /// Seconds until the byte before `end` is here, if things go on as they do.
    func secondsUntil(_ end: UInt64, _ now: MonotonicTime, cap: UInt64?) -> Double {
        let missing = Double(end - min(end, range.lowerBound + received))
        var speed = source.bytesPerSecond ?? 10e6
        var delay: Double = 0
        if let firstByte {
            let seconds = now.seconds(since: firstByte)
            if received >= 64 << 10, seconds > 0.005 { speed = Double(received) / seconds }
            // Silence counts: what has not come for a while is not about to come.
            delay = max(0, now.seconds(since: lastByte) - 0.05)
        } else {
            let latency = source.latency ?? 0.05
            let waited = now.seconds(since: begun)
            delay = waited < latency ? latency - waited : waited - latency
        }
        if let cap { speed = min(speed, Double(cap)) }
        return delay + missing / max(speed, 1)
    }

    // MARK: Receiving

    func receive(_ bytes: UnsafeRawBufferPointer) -> RangeFlow {
        if bytes.isEmpty { return .proceed }
        guard let core else { return .stop }
        let flow = core.admit(bytes.count, self)
        if flow != .proceed { return flow }
        var offset = 0
        while offset < bytes.count, fillingPart < parts.count {
            offset += take(UnsafeRawBufferPointer(rebasing: bytes[offset...]), core.decoder)
        }
        return .proceed
    }

    /// Takes bytes up to the end of a chunk or of the gap before it, and returns how many.
    private func take(_ bytes: UnsafeRawBufferPointer, _ decoder: Decoder) -> Int {
        let part = parts[fillingPart]
        if position < part.place.offset {
            let count = Int(min(UInt64(bytes.count), part.place.offset - position))
            position += UInt64(count)
            return count
        }
        let piece = filling ?? FetchedPiece(part.flight, part.place, self)
        filling = piece
        let count = min(bytes.count, piece.bytes.count - piece.filled)
        if let target = piece.bytes.baseAddress, let from = bytes.baseAddress {
            memcpy(target + piece.filled, from, count)
        }
        piece.filled += count
        position += UInt64(count)
        if piece.filled == piece.bytes.count {
            filling = nil
            fillingPart += 1
            decoder.submit(piece, to: part.lane)
        }
        return count
    }

    func finish(_ failure: SourceFailure?) {
        filling = nil
        core?.finished(self, failure)
    }
}
