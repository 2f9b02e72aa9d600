// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

extension FetchBoard {
    /// Which source is to serve a request.
    enum Choice {
        case source(FetchSource)
        /// One will do later: it has enough to do, or rests after a failure.
        case wait
        /// None is left that has not failed.
        case none
    }

    /// Begins as many requests as may be, the most urgent first.
    func pump(_ now: MonotonicTime, held: Int, _ actions: inout FetchActions) {
        if isShut { return }
        for urgency in FetchClass.allCases {
            pumpQueue(urgency, now, &actions)
            if urgency == .demand || held > memoryLimit(urgency) { continue }
            for walk in walks where walk.class == urgency && !walk.isPaused { pump(walk, now, &actions) }
        }
        if timerSleeps && isActive {
            timerSleeps = false
            actions.wakesTimer = true
        }
    }

    func memoryLimit(_ urgency: FetchClass) -> Int {
        switch urgency {
        case .demand: limits.bufferBytes
        case .readAhead, .boot: limits.bufferBytes / 4 * 3
        case .background: limits.bufferBytes / 2
        }
    }

    // MARK: Choosing a source

    func choose(
        _ pack: FetchPack, excluding excluded: [FetchSource], _ urgency: FetchClass, bytes: Int,
        _ now: MonotonicTime
    ) -> Choice {
        var best: (source: FetchSource, cost: Double)?
        var mustWait = false
        for source in pack.sources {
            if excluded.contains(where: { $0 === source }) || pack.isRefused(by: source, now) { continue }
            if !isFree(source, urgency, now) {
                mustWait = true
                continue
            }
            // Readers do not try out whether a source is back while another one works.
            let risk = source.isDown && urgency == .demand ? 100.0 : 0
            let cost = source.cost(ofBytes: bytes, now) + risk
            if cost < best?.cost ?? .infinity { best = (source, cost) }
        }
        if let best { return .source(best.source) }
        return mustWait ? .wait : .none
    }

    private func isFree(_ source: FetchSource, _ urgency: FetchClass, _ now: MonotonicTime) -> Bool {
        source.isUsable(now) && source.requests[Int(urgency.rawValue)] < limits[urgency].requests
            && (urgency == .demand || !source.mustYield(now, limits))
    }

    // MARK: Queued chunks

    private func pumpQueue(_ urgency: FetchClass, _ now: MonotonicTime, _ actions: inout FetchActions) {
        let queue = queues[Int(urgency.rawValue)]
        if queue.isEmpty { return }
        queues[Int(urgency.rawValue)] = []
        var rest: [Flight] = []
        // Packs whose sources all have enough to do: their other chunks need no look.
        var waiting: Set<ObjectIdentifier> = []
        for flight in queue where flight.isQueued && flight.class == urgency {
            let pack = flight.pack
            if flight.excluded.isEmpty, waiting.contains(ObjectIdentifier(pack)) {
                rest.append(flight)
                continue
            }
            switch choose(pack, excluding: flight.excluded, urgency, bytes: flight.byteCount, now) {
            case .source(let source):
                let run = run(from: flight, source)
                start(run, at: source, urgency, now, &actions)
            case .wait:
                if flight.excluded.isEmpty { waiting.insert(ObjectIdentifier(pack)) }
                rest.append(flight)
            case .none:
                endRound(flight, now, &actions)
            }
        }
        queues[Int(urgency.rawValue)] = rest + queues[Int(urgency.rawValue)]
    }

    /// Queued chunks of the same urgency that follow in the pack without a gap, or with one that others want.
    private func run(from flight: Flight, _ source: FetchSource) -> [Flight] {
        var run = [flight]
        let limit = limits[flight.class]
        var gap: [Flight] = []
        var end = flight.end
        while end - flight.offset < limit.requestBytes, flight.pack.queued.count > run.count {
            guard let next = flight.pack.queued[end] ?? walked(flight.pack, end) else { break }
            if next.excluded.contains(where: { $0 === source }) { break }
            end = next.end
            gap.append(next)
            if next.class == flight.class {
                for flight in gap where flights[flight.handle] == nil { register(flight) }
                run += gap
                gap = []
            } else if gap.reduce(0, { $0 + UInt64($1.byteCount) }) > limit.gapBytes {
                break
            }
        }
        return run
    }

    /// A chunk that a walk is going to fetch and that begins here, as one that waits for a request.
    private func walked(_ pack: FetchPack, _ offset: UInt64) -> Flight? {
        for walk in walks {
            guard let entry = walk.entry(in: pack, startingAt: offset), flights[entry.handle] == nil,
                !store.isPresent(ChunkHandle(index: entry.handle))
            else { continue }
            return Flight(
                handle: entry.handle, pack: pack, place: walk.place(of: entry), class: walk.class,
                since: .now)
        }
        return nil
    }

    // MARK: Walks

    private func pump(_ walk: Walk, _ now: MonotonicTime, _ actions: inout FetchActions) {
        let limit = limits[walk.class]
        while let index = walk.next({ self.flights[$0] == nil }) {
            let pack = walk.packs[Int(walk.entries[index].pack)]
            switch choose(pack, excluding: [], walk.class, bytes: Int(clamping: limit.requestBytes), now) {
            case .wait: return
            case .none: walk.skipPack()
            case .source(let source):
                let run = walk.takeRun(maximumBytes: limit.requestBytes, gapBytes: limit.gapBytes) {
                    self.flights[$0] == nil
                }
                let begun = run.map { index -> Flight in
                    let entry = walk.entries[index]
                    let flight = begin(entry.handle, pack, walk.place(of: entry), walk.class, now)
                    flight.walk = walk
                    flight.walkEntry = index
                    return flight
                }
                let transfer = start(begun, at: source, walk.class, now, &actions)
                transfer.walk = walk
                walk.requests += 1
            }
        }
    }

    // MARK: Beginning

    /// Begins a request for chunks of one pack, in the order of their bytes.
    @discardableResult
    func start(
        _ run: [Flight], at source: FetchSource, _ urgency: FetchClass, isHedge: Bool = false,
        _ now: MonotonicTime, _ actions: inout FetchActions
    ) -> Transfer {
        let transfer = Transfer(
            number: nextNumber(), source: source, pack: run[0].pack, flights: run, class: urgency,
            isHedge: isHedge, now: now, core: core, store: store)
        for flight in run {
            if flight.isQueued { unqueue(flight) }
            flight.transfers.append(transfer)
        }
        if urgency == .demand {
            transfer.urgentEnd = transfer.range.upperBound
            hedgeCredit = min(8, hedgeCredit + limits.hedgeShare)
        }
        transfer.recount()
        source.requests[Int(urgency.rawValue)] += 1
        source.totalRequests += 1
        transfers[transfer.number] = transfer
        if source.isDown {
            source.probes.append(transfer)
            source.noteProbe(now, limits)
        }
        actions.starts.append(transfer)
        return transfer
    }

    /// Ends a request from here; what it had not brought is left to the caller.
    func end(_ transfer: Transfer, _ actions: inout FetchActions) {
        if transfer.isEnded { return }
        settle(transfer)
        if let cancellation = transfer.cancellation { actions.cancels.append(cancellation) }
    }

    /// Takes a request off the board.
    func settle(_ transfer: Transfer) {
        transfer.isEnded = true
        transfer.recount()
        transfers[transfer.number] = nil
        transfer.source.requests[Int(transfer.ownClass.rawValue)] -= 1
        transfer.source.probes.removeAll { $0 === transfer }
        if transfer.isPaused { pausedTransfers.removeAll { $0 === transfer } }
        transfer.walk?.requests -= 1
    }
}
