// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

extension FetchBoard {
    // MARK: Bytes

    /// What is to become of bytes that a source offers, and the accounts of those that are taken.
    func admit(
        _ count: Int, _ transfer: Transfer, _ now: MonotonicTime, held: Int, _ actions: inout FetchActions
    ) -> RangeFlow {
        if transfer.isEnded { return .stop }
        if transfer.isPaused { return .pause }
        if mustPause(transfer, now, held: held) {
            transfer.pausedSince = now
            pausedTransfers.append(transfer)
            return .pause
        }
        let source = transfer.source
        if transfer.firstByte == nil { noteFirstByte(transfer, now, held: held, &actions) }
        transfer.received += UInt64(count)
        transfer.lastByte = now
        source.noteBytes(count, now)
        fetchedBytes[Int(transfer.ownClass.rawValue)] += UInt64(count)
        source.fetchedByClass[Int(transfer.ownClass.rawValue)] += UInt64(count)
        buckets[Int(transfer.ownClass.rawValue)].take(count)
        if transfer.received > UInt64(transfer.range.count) {
            end(transfer, &actions)
            failAll(of: transfer, .invalid("more bytes than the range has"), now, &actions)
            return .stop
        }
        deliver(transfer, &actions)
        transfer.recount()
        return .proceed
    }

    func mustPause(_ transfer: Transfer, _ now: MonotonicTime, held: Int) -> Bool {
        let urgency = transfer.urgency
        if held > memoryLimit(urgency) { return true }
        if urgency == .demand { return false }
        return !buckets[Int(urgency.rawValue)].isOpen(now) || transfer.source.mustYield(now, limits)
    }

    private func noteFirstByte(
        _ transfer: Transfer, _ now: MonotonicTime, held: Int, _ actions: inout FetchActions
    ) {
        transfer.firstByte = now
        let source = transfer.source
        source.firstBytes.observe(seconds: now.seconds(since: transfer.begun) - transfer.pausedSeconds)
        source.noteFirstByte(after: now.seconds(since: transfer.begun) - transfer.pausedSeconds)
        if source.noteAlive() {
            source.probes = []
            let name = source.name
            actions.logs.append { Log.info("fetch", "a source is back", ["source": name]) }
            pump(now, held: held, &actions)
        }
    }

    /// Chunks whose last byte is here go to the decoder.
    private func deliver(_ transfer: Transfer, _ actions: inout FetchActions) {
        let position = transfer.range.lowerBound + transfer.received
        while transfer.nextPart < transfer.parts.count {
            let part = transfer.parts[transfer.nextPart]
            if part.place.offset + UInt64(part.place.byteCount) > position { return }
            transfer.nextPart += 1
            let flight = part.flight
            guard !flight.isDone, let index = flight.transfers.firstIndex(where: { $0 === transfer }) else {
                continue
            }
            flight.transfers.remove(at: index)
            transfer.open -= 1
            flight.decoding += 1
            flight.lane = part.lane
            if flight.class == .demand, !flight.waiters.isEmpty { actions.promotions.append(part.lane) }
        }
    }

    func resume(_ transfer: Transfer, _ now: MonotonicTime, _ actions: inout FetchActions) {
        guard let since = transfer.pausedSince else { return }
        transfer.pausedSeconds += now.seconds(since: since)
        transfer.pausedSince = nil
        transfer.lastByte = now
        pausedTransfers.removeAll { $0 === transfer }
        if let cancellation = transfer.cancellation {
            actions.resumes.append(cancellation)
        } else {
            transfer.mustResume = true
        }
    }

    /// Lets requests go on for which there is room again.
    func resumePaused(_ now: MonotonicTime, held: Int, _ actions: inout FetchActions) {
        for transfer in pausedTransfers
        where !mustPause(transfer, now, held: held + held / 3) || transfer.isEnded {
            resume(transfer, now, &actions)
        }
    }

    // MARK: Chunks

    /// The decoder is done with the bytes of a chunk.
    func decoded(
        _ piece: FetchedPiece, _ outcome: DecodeOutcome, _ now: MonotonicTime, _ actions: inout FetchActions
    ) {
        let flight = piece.flight
        flight.decoding -= 1
        if flight.isDone { return }
        switch outcome {
        case .stored:
            if piece.transfer.isHedge { hedgesWon += 1 }
            storedChunks += 1
            storedPackedBytes += UInt64(piece.place.byteCount)
            storedPlainBytes += UInt64(store.core.slots[flight.handle].byteCount)
            succeed(flight, &actions)
        case .damaged(let reason):
            noteDamage(piece, reason, now, &actions)
        case .failed(.full(let path)) where !flight.waiters.isEmpty:
            waitForRoom(flight, .full(path: path), now, &actions)
        case .failed(let error):
            flight.walk?.giveUp(flight.walkEntry)
            actions.logs.append {
                Log.error("fetch", "a fetched chunk could not be stored", ["error": "\(error)"])
            }
            fail(flight, .store(error), &actions)
        }
    }

    /// The disk is full and nothing could make room: who waits goes on waiting until there is some.
    private func waitForRoom(
        _ flight: Flight, _ error: ChunkStoreError, _ now: MonotonicTime, _ actions: inout FetchActions
    ) {
        if flight.lackOfRoom == nil {
            actions.logs.append { Log.warning("fetch", "reads wait for space", ["reason": "\(error)"]) }
        }
        flight.lackOfRoom = error
        if !flight.transfers.isEmpty || flight.decoding > 0 || flight.isQueued { return }
        flight.notBefore = now.advanced(bySeconds: Self.roomSeconds)
        sleepers.append(flight)
    }

    /// Between two tries to store a chunk on a full disk.
    private static let roomSeconds = 1.0

    private func noteDamage(
        _ piece: FetchedPiece, _ reason: String, _ now: MonotonicTime, _ actions: inout FetchActions
    ) {
        let source = piece.transfer.source
        let text = "chunk at byte \(piece.place.offset) of \(piece.place.pack.name): \(reason)"
        source.noteDamage(now)
        source.failures += 1
        source.lastError = text
        let (name, object, pack) = (source.name, source.object, piece.place.pack.name)
        actions.logs.append {
            object.distrust(pack)
            Log.warning("fetch", "a source gave damaged bytes", ["source": name, "reason": text])
        }
        retry(piece.flight, source, .invalid(text), now, &actions)
    }

    // MARK: Ends of requests

    func finished(
        _ transfer: Transfer, _ failure: SourceFailure?, _ now: MonotonicTime,
        _ actions: inout FetchActions
    ) {
        if transfer.isEnded { return }
        settle(transfer)
        if let failure { return failAll(of: transfer, failure, now, &actions) }
        if transfer.received < UInt64(transfer.range.count) {
            let reason = "it ended after \(transfer.received) of \(transfer.range.count) bytes"
            return failAll(of: transfer, .invalid(reason), now, &actions)
        }
        transfer.pack.clearRefusal(by: transfer.source)
        let seconds = transfer.firstByte.map { now.seconds(since: $0) } ?? 0
        if transfer.received >= 128 << 10, seconds > 0.001, transfer.pausedSeconds == 0 {
            let speed = Double(transfer.received) / seconds
            if speed > transfer.source.bytesPerSecond ?? 0 { transfer.source.noteSpeed(speed) }
        }
    }

    /// What a request that has ended did not bring is tried again elsewhere or later.
    func failAll(
        of transfer: Transfer, _ failure: SourceFailure, _ now: MonotonicTime,
        _ actions: inout FetchActions
    ) {
        let failure =
            failure == .cancelled ? .unavailable("it ended the request", retryAfterMs: nil) : failure
        note(failure, of: transfer, now, &actions)
        for part in transfer.parts[transfer.nextPart...] {
            guard let index = part.flight.transfers.firstIndex(where: { $0 === transfer }) else { continue }
            part.flight.transfers.remove(at: index)
            retry(part.flight, transfer.source, failure, now, &actions)
        }
    }

    private func note(
        _ failure: SourceFailure, of transfer: Transfer, _ now: MonotonicTime,
        _ actions: inout FetchActions
    ) {
        let source = transfer.source
        source.failures += 1
        source.lastError = failure.description
        switch failure {
        case .denied, .missing: transfer.pack.noteRefusal(by: source, now)
        case .unavailable, .timedOut, .invalid, .cancelled:
            guard source.noteOutage(failure, begun: transfer.begun, now, limits) else { return }
            let name = source.name
            actions.logs.append {
                Log.warning("fetch", "a source fails", ["source": name, "reason": failure.description])
            }
        }
    }

    /// A source did not bring a chunk.
    func retry(
        _ flight: Flight, _ source: FetchSource, _ failure: SourceFailure, _ now: MonotonicTime,
        _ actions: inout FetchActions
    ) {
        if flight.isDone { return }
        retries += 1
        flight.note(failure, of: source)
        var isOutage = false
        if case .unavailable = failure { isOutage = true }
        if !isOutage, !flight.excluded.contains(where: { $0 === source }) { flight.excluded.append(source) }
        if !flight.transfers.isEmpty || flight.decoding > 0 || flight.isQueued { return }
        if flight.waiters.isEmpty {
            returnToWalk(flight, counts: failure.isAboutContent, &actions)
        } else {
            enqueue(flight)
        }
    }

    private func returnToWalk(_ flight: Flight, counts: Bool, _ actions: inout FetchActions) {
        flight.walk?.giveBack(flight.walkEntry, counts: counts)
        remove(flight, &actions)
    }

    /// All sources have failed for a chunk: another pack may hold it too, else it is tried again after a
    /// pause.
    func endRound(_ flight: Flight, _ now: MonotonicTime, _ actions: inout FetchActions) {
        unqueue(flight)
        if !flight.transfers.isEmpty || flight.decoding > 0 { return }
        if flight.waiters.isEmpty { return returnToWalk(flight, counts: true, &actions) }
        flight.rounds += 1
        let handle = ChunkHandle(index: flight.handle)
        let places = store.places(of: handle)
        if places.count > 1,
            let next = places.first(where: { $0.range != flight.place.range || $0.pack != flight.place.pack })
        {
            store.demote(flight.place, of: handle)
            flight.move(to: next, in: pack(of: next))
        }
        flight.excluded = []
        let longest = limits.backoffSeconds
        let seconds = min(longest, longest / 8 * Double(1 << min(flight.rounds - 1, 4)))
        // Chunks that failed together are tried together again.
        flight.notBefore = now.advanced(bySeconds: seconds * flight.pack.jitter)
        sleepers.append(flight)
    }
}

extension SourceFailure {
    /// True when it says something about the bytes and not about the way to them.
    var isAboutContent: Bool {
        switch self {
        case .denied, .missing, .invalid: true
        case .unavailable, .timedOut, .cancelled: false
        }
    }
}
