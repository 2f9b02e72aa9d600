// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

extension FetchBoard {
    /// Looks after everything that time changes.
    /// - Returns: seconds until the next look; nil: nothing until something begins.
    func tick(_ now: MonotonicTime, held: Int, _ actions: inout FetchActions) -> Double? {
        wakeSleepers(now)
        for transfer in Array(transfers.values) where !transfer.isEnded {
            if let failure = overdue(transfer, now) {
                end(transfer, &actions)
                failAll(of: transfer, failure, now, &actions)
            } else if transfer.urgency == .demand {
                hasten(transfer, now, &actions)
            }
        }
        dropOldProbes(now, &actions)
        failOldWants(now, &actions)
        for walk in walks { look(after: walk, now, &actions) }
        prunePacks()
        pump(now, held: held, &actions)
        resumePaused(now, held: held, &actions)
        timerSleeps = !isActive
        if timerSleeps { return nil }
        let isBusy = !pausedTransfers.isEmpty || sources.contains { $0.demandBytes > 0 }
        return isBusy ? 0.01 : 0.05
    }

    private func wakeSleepers(_ now: MonotonicTime) {
        if sleepers.isEmpty { return }
        let sleeping = sleepers
        sleepers = []
        for flight in sleeping {
            guard !flight.isDone, let time = flight.notBefore else { continue }
            if time > now { sleepers.append(flight) } else { enqueue(flight) }
        }
    }

    // MARK: Requests

    private func overdue(_ transfer: Transfer, _ now: MonotonicTime) -> SourceFailure? {
        if transfer.isPaused { return nil }
        let silence = now.seconds(since: transfer.lastByte)
        if silence > limits.stallSeconds {
            return .timedOut("no byte for \(Int(silence.rounded())) s")
        }
        let seconds = now.seconds(since: transfer.begun) - transfer.pausedSeconds
        let allowed = limits.requestSeconds + Double(transfer.range.count) / limits.slowestBytesPerSecond
        if seconds > allowed {
            return .timedOut("\(transfer.received) of \(transfer.range.count) bytes in \(Int(seconds)) s")
        }
        return nil
    }

    /// Readers wait for this request: what others would bring sooner is asked of them.
    private func hasten(_ transfer: Transfer, _ now: MonotonicTime, _ actions: inout FetchActions) {
        if transfer.isPaused { return }
        let silence = now.seconds(since: max(transfer.lastByte, transfer.begun))
        let isSlow = silence > transfer.source.slowLatency * 1.25 + 0.005
        if isSlow, !transfer.isHedge, !transfer.isRaced { race(transfer, now, &actions) }
        if transfer.ownClass == .demand { return }
        for part in transfer.parts[transfer.nextPart...] {
            if part.place.offset >= transfer.urgentEnd { break }
            let flight = part.flight
            if flight.isDone || flight.waiters.isEmpty || flight.class != .demand { continue }
            if isLate(flight, now) { enqueue(flight) }
        }
    }

    /// Asks a second source for what readers wait for, if one is free and there were not too many such races.
    private func race(_ transfer: Transfer, _ now: MonotonicTime, _ actions: inout FetchActions) {
        if hedgeCredit < 1 { return }
        var late: [Flight] = []
        for part in transfer.parts[transfer.nextPart...] {
            let flight = part.flight
            let isMeant =
                !flight.isDone && flight.class == .demand && !flight.waiters.isEmpty
                && flight.transfers.count == 1 && flight.transfers.first === transfer
            if isMeant { late.append(flight) } else if !late.isEmpty { break }
        }
        guard let first = late.first else { return }
        let others = first.excluded + [transfer.source]
        guard
            case .source(let source) = choose(
                transfer.pack, excluding: others, .demand, bytes: first.byteCount, now), !source.isDown
        else { return }
        hedgeCredit -= 1
        hedges += 1
        transfer.isRaced = true
        start(late, at: source, .demand, isHedge: true, now, &actions)
    }

    /// A source that answers nothing is asked again and again; the questions must not pile up.
    private func dropOldProbes(_ now: MonotonicTime, _ actions: inout FetchActions) {
        for source in sources {
            while source.probes.count > 4, let oldest = source.probes.first {
                end(oldest, &actions)
                failAll(of: oldest, .timedOut("no answer to a probe"), now, &actions)
            }
        }
    }

    // MARK: Wants

    /// Chunks that failed and are too old are given up, and the wants that wait for them.
    private func failOldWants(_ now: MonotonicTime, _ actions: inout FetchActions) {
        for want in Array(wants.values) {
            let seconds = now.seconds(since: want.since)
            if seconds < limits.wantSeconds { continue }
            let stuck = want.flights.first { isStuck($0, now, isVeryOld: seconds > 2 * limits.wantSeconds) }
            guard let stuck else { continue }
            let failure = failure(of: stuck, after: seconds)
            actions.logs.append { Log.error("fetch", "a read failed", ["reason": "\(failure)"]) }
            giveUp(want, failure, &actions)
        }
    }

    private func failure(of stuck: Flight, after seconds: Double) -> FetchFailure {
        if let error = stuck.lackOfRoom { return .store(error) }
        let digest = store.descriptor(of: ChunkHandle(index: stuck.handle)).digest
        return .unreachable(
            chunk: digest, pack: stuck.pack.info.digest, attempts: attempts(stuck), seconds: seconds)
    }

    private func isStuck(_ flight: Flight, _ now: MonotonicTime, isVeryOld: Bool) -> Bool {
        let hasFailed =
            flight.lackOfRoom != nil || !flight.attempts.isEmpty
            || flight.pack.sources.allSatisfy { $0.isDown || $0.lastError != nil }
        if !hasFailed { return false }
        let isComing =
            flight.decoding > 0
            || flight.transfers.contains { $0.firstByte != nil && now.seconds(since: $0.lastByte) < 2 }
        return isVeryOld || !isComing
    }

    /// What is known of the sources of a chunk, whether it was this chunk or another one that they failed.
    func attempts(_ flight: Flight) -> [FetchFailure.Attempt] {
        if !flight.attempts.isEmpty { return flight.publicAttempts }
        return flight.pack.sources.compactMap { source in
            source.lastError.map {
                FetchFailure.Attempt(source: source.name, failure: .unavailable($0, retryAfterMs: nil))
            }
        }
    }

    // MARK: Walks

    private func look(after walk: Walk, _ now: MonotonicTime, _ actions: inout FetchActions) {
        if walk.isCancelled {
            drop(walk)
            return report(walk, .cancelled, now, &actions)
        }
        if walk.isThrough && walk.requests == 0 {
            if walk.kind == .once { return drop(walk) }
            if !walk.hasAbsent { return finish(walk, now, &actions) }
            // Something failed, or others who fetch it are not done.
            if walk.mustRescan || walk.isFruitless(now) {
                // Or what came made others go: the image does not fit, and going on would never end.
                if store.core.evictor.evictions != walk.evictions { return end(walk, now, &actions) }
                walk.seek(0)
            }
        }
        if walk.progress != nil || walk.latest != nil, now.seconds(since: walk.lastReport) > 0.25 {
            report(walk, walk.isPaused ? .paused : .running, now, &actions)
        }
    }

    private func finish(_ walk: Walk, _ now: MonotonicTime, _ actions: inout FetchActions) {
        if !walk.hopeless.isEmpty { return end(walk, now, &actions) }
        drop(walk)
        report(walk, .complete, now, &actions)
    }

    /// Ends a walk that could not bring everything.
    private func end(_ walk: Walk, _ now: MonotonicTime, _ actions: inout FetchActions) {
        drop(walk)
        let chunks = walk.hopeless.sorted().map { store.descriptor(of: ChunkHandle(index: $0)).digest }
        report(walk, .incomplete(chunks: chunks), now, &actions)
    }

    func drop(_ walk: Walk) {
        walks.removeAll { $0 === walk }
    }

    func report(
        _ walk: Walk, _ state: FillProgress.State, _ now: MonotonicTime, _ actions: inout FetchActions
    ) {
        walk.lastReport = now
        guard walk.latest != nil || walk.progress != nil else { return }
        let figures = walk.measure(state)
        let (latest, progress) = (walk.latest, walk.progress)
        actions.reports.append {
            let isNews = latest?.withLock { latest in
                if latest.isOver { return false }
                latest = figures
                return true
            }
            if isNews ?? true { progress?(figures) }
        }
    }
}
