// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

extension FetchBoard {
    /// Lets a walk over a whole map go on at the place of a reader, unless it is there anyway.
    func steer(_ id: UInt64, to handle: UInt32, _ place: ChunkPlace) {
        guard let walk = walks.first(where: { $0.id == id }), flights[handle]?.walk !== walk else { return }
        if let index = walk.index(in: pack(of: place), at: place.offset) { walk.seek(index) }
    }

    /// Sources to look up again, once a second.
    func dueUnresolved(_ now: MonotonicTime) -> Set<SourceID> {
        if now.seconds(since: lastLookup) < 1 { return [] }
        lastLookup = now
        return unresolved
    }

    func status(_ now: MonotonicTime) -> FetchStatus {
        var status = FetchStatus()
        status.hedges = hedges
        status.hedgesWon = hedgesWon
        (status.failedWants, status.retries) = (failedWants, retries)
        (status.storedChunks, status.storedPackedBytes) = (storedChunks, storedPackedBytes)
        status.storedPlainBytes = storedPlainBytes
        for index in waits.indices { status.classes[index].waits = waits[index] }
        for flight in flights.values where flight.isQueued || flight.notBefore != nil {
            status.classes[Int(flight.class.rawValue)].queuedChunks += 1
        }
        for transfer in transfers.values {
            let index = Int(transfer.ownClass.rawValue)
            status.classes[index].requests += 1
            status.classes[index].inFlightBytes += transfer.missingBytes
        }
        for want in wants.values { status.classes[Int(want.class.rawValue)].waiting += 1 }
        for index in fetchedBytes.indices { status.classes[index].fetchedBytes = fetchedBytes[index] }
        status.sources = sources.map(\.figures)
        status.stalled = stalled(now)
        return status
    }

    private func stalled(_ now: MonotonicTime) -> [FetchStatus.Stalled] {
        let stuck = flights.values.filter { flight in
            !flight.waiters.isEmpty
                && (!flight.attempts.isEmpty || flight.pack.sources.allSatisfy { $0.isDown }
                    || now.seconds(since: flight.since) > 1)
        }
        return stuck.sorted { $0.since < $1.since }.prefix(32).map { flight in
            FetchStatus.Stalled(
                chunk: store.descriptor(of: ChunkHandle(index: flight.handle)).digest,
                pack: flight.pack.info.digest, waitingSeconds: now.seconds(since: flight.since),
                attempts: attempts(flight))
        }
    }
}

extension FetchSource {
    var figures: FetchStatus.OfSource {
        FetchStatus.OfSource(
            name: name, latencySeconds: latency, bytesPerSecond: bytesPerSecond, requests: totalRequests,
            fetchedBytes: fetchedBytes, failures: failures, damagedChunks: damagedChunks,
            lastError: lastError, isDown: isDown, fetchedByClass: fetchedByClass, firstBytes: firstBytes)
    }
}

extension FetchCore {
    func status() -> FetchStatus {
        var status = act { board, now, _ in board.status(now) }
        status.bufferedBytes = decoder.heldBytes
        return status
    }
}
