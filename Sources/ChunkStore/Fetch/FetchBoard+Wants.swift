// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

extension FetchBoard {
    /// Enters a want of chunks; false when all of them are present by now.
    func add(
        _ want: Want, _ targets: [(handle: ChunkHandle, place: ChunkPlace)], _ now: MonotonicTime,
        _ actions: inout FetchActions
    ) -> Bool {
        for (handle, place) in targets {
            if let flight = flights[handle.index] {
                if want.joined == nil { want.joined = flight.transfers.first?.ownClass ?? flight.class }
                join(want, flight, now, &actions)
            } else if !store.isPresent(handle) {
                let flight = begin(handle.index, pack(of: place), place, want.class, now)
                flight.waiters.append(want)
                want.flights.append(flight)
                enqueue(flight)
            }
        }
        if want.flights.isEmpty { return false }
        wants[want.id.number] = want
        return true
    }

    /// A new flight, for which a reference is taken.
    func begin(
        _ handle: UInt32, _ pack: FetchPack, _ place: ChunkPlace, _ class: FetchClass, _ now: MonotonicTime
    ) -> Flight {
        let flight = Flight(handle: handle, pack: pack, place: place, class: `class`, since: now)
        register(flight)
        return flight
    }

    func register(_ flight: Flight) {
        flight.pack.flights += 1
        flights[flight.handle] = flight
        store.core.table.withLock { $0.retain(flight.handle) }
    }

    func enqueue(_ flight: Flight) {
        flight.isQueued = true
        flight.notBefore = nil
        flight.pack.queued[flight.offset] = flight
        queues[Int(flight.class.rawValue)].append(flight)
    }

    func unqueue(_ flight: Flight) {
        flight.isQueued = false
        flight.pack.queued[flight.offset] = nil
    }

    /// Waits for a chunk that is already being taken care of, and sees to it that this is quick enough.
    private func join(
        _ want: Want, _ flight: Flight, _ now: MonotonicTime, _ actions: inout FetchActions
    ) {
        let wasWaitedFor = !flight.waiters.isEmpty
        flight.waiters.append(want)
        want.flights.append(flight)
        if !wasWaitedFor { flight.since = now }
        guard want.class < flight.class || !wasWaitedFor else { return }
        flight.class = min(flight.class, want.class)
        if flight.isQueued {
            queues[Int(flight.class.rawValue)].append(flight)
        } else if flight.class == .demand {
            makeUrgent(flight, now, &actions)
        }
    }

    /// A reader waits for a chunk that is under way at a lower class.
    private func makeUrgent(_ flight: Flight, _ now: MonotonicTime, _ actions: inout FetchActions) {
        if flight.decoding > 0, let lane = flight.lane {
            actions.promotions.append(lane)
            return
        }
        for transfer in flight.transfers {
            transfer.urgentEnd = max(transfer.urgentEnd, flight.end)
            transfer.recount()
            if transfer.isPaused { resume(transfer, now, &actions) }
        }
        if isLate(flight, now) { enqueue(flight) }
    }

    /// True when a request of its own would bring a chunk much sooner than the one it waits for.
    func isLate(_ flight: Flight, _ now: MonotonicTime) -> Bool {
        guard flight.transfers.count == 1, flight.decoding == 0, !flight.isQueued,
            let transfer = flight.transfers.first
        else { return false }
        let source = transfer.source
        // Readers share the line with the stream.
        let own = (source.latency ?? 0.05) + 2 * Double(flight.byteCount) / (source.bytesPerSecond ?? 10e6)
        let cap = transfer.urgency == .demand ? nil : buckets[Int(transfer.ownClass.rawValue)].rate
        return transfer.secondsUntil(flight.end, now, cap: cap) > 2 * own + 0.01
    }

    // MARK: Ends of flights

    /// The chunk is present: everybody who waited for nothing else is answered.
    func succeed(_ flight: Flight, _ actions: inout FetchActions) {
        let waiters = flight.waiters
        remove(flight, &actions)
        for want in waiters {
            if let index = want.flights.firstIndex(where: { $0 === flight }) {
                want.flights.remove(at: index)
            }
            if want.flights.isEmpty { answer(want, nil, &actions) }
        }
    }

    /// The chunk cannot be had: everybody who waited for it hears so; the others of their chunks go on
    /// without.
    func fail(_ flight: Flight, _ failure: FetchFailure, _ actions: inout FetchActions) {
        let waiters = flight.waiters
        remove(flight, &actions)
        for want in waiters { giveUp(want, failure, &actions) }
    }

    /// Answers a want that may still have chunks under way; these go on only if others want them.
    func giveUp(_ want: Want, _ failure: FetchFailure, _ actions: inout FetchActions) {
        for flight in want.flights where !flight.isDone {
            flight.waiters.removeAll { $0 === want }
            if flight.waiters.isEmpty { abandon(flight, &actions) }
        }
        want.flights = []
        answer(want, failure, &actions)
    }

    /// Nobody waits for the chunk any more.
    ///
    /// What is under way may arrive, nothing new begins.
    private func abandon(_ flight: Flight, _ actions: inout FetchActions) {
        if flight.isQueued { unqueue(flight) }
        flight.notBefore = nil
        if flight.transfers.isEmpty && flight.decoding == 0 { remove(flight, &actions) }
    }

    func answer(_ want: Want, _ failure: FetchFailure?, _ actions: inout FetchActions) {
        if wants.removeValue(forKey: want.id.number) == nil { return }
        let completion = want.completion
        switch failure {
        case nil:
            waits[Int(want.class.rawValue)].observe(seconds: MonotonicTime.now.seconds(since: want.since))
        case .cancelled: break
        default: failedWants += 1
        }
        actions.calls.append { completion(failure) }
    }

    /// Takes a flight off the board.
    func remove(_ flight: Flight, _ actions: inout FetchActions) {
        if flight.isDone { return }
        flight.isDone = true
        if flight.isQueued { unqueue(flight) }
        flight.notBefore = nil
        flight.waiters = []
        flight.lane = nil
        flight.pack.flights -= 1
        flights[flight.handle] = nil
        actions.drops.append(flight.handle)
        for transfer in flight.transfers { close(flight, in: transfer, &actions) }
        flight.transfers = []
    }

    /// A request has one chunk less to bring; with none left it is ended when that saves more than it costs.
    private func close(_ flight: Flight, in transfer: Transfer, _ actions: inout FetchActions) {
        transfer.open -= 1
        if transfer.open == 0, transfer.missingBytes > 128 << 10 { end(transfer, &actions) }
    }

    // MARK: Cancelling

    func cancel(wantsWhere isMeant: (Want) -> Bool, _ actions: inout FetchActions) {
        for want in wants.values.filter(isMeant) { giveUp(want, .cancelled, &actions) }
    }
}
