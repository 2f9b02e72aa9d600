// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
import Glibc
import Logging

/// The background thread of a store: seals snapshots, deletes files, collects chunks, and moves the catalog's
/// log along.
final class Sealer: Sendable {
    private struct Work {
        /// Snapshots to seal, in the order in which they were made.
        var snapshots: [Snapshot] = []
        /// What was taken out of the catalog and still has files.
        var garbage: [Registry.Garbage] = []
        var mustCollect = false
        var mustCheckpoint = false
        var isStopping = false
        /// Attempts that came to an end, and how the last one for a snapshot failed.
        var failures: [UInt64: VolumeError] = [:]
        var retryAt: MonotonicTime?
    }

    /// Seconds between an attempt that failed and the next one.
    private static let retrySeconds = 15.0

    private let work: Monitor<Work>
    private let thread: Lock<NamedThread?>

    init(_ registry: Registry) throws(VolumeError) {
        let work = Monitor(Work())
        self.work = work
        do throws(SystemError) {
            thread = Lock(try NamedThread("slk-sealer") { Self.main(work, registry) })
        } catch {
            throw .system(error)
        }
    }

    /// Queues snapshots; each is sealed once everything below it is.
    func schedule(_ snapshots: [Snapshot]) {
        work.withLock { work in
            work.snapshots += snapshots.filter { !$0.isSealed }
            work.mustCheckpoint = true
            work.retryAt = nil
        }
    }

    /// Frees chunks that nothing refers to any more.
    func collect() {
        work.withLock { $0.mustCollect = true }
    }

    /// Deletes the files of what was taken out; before the store closes at the latest.
    func dispose(_ garbage: Registry.Garbage) {
        work.withLock { $0.garbage.append(garbage) }
    }

    /// Has the catalog's log looked at.
    func poke() {
        work.withLock { $0.mustCheckpoint = true }
    }

    /// Waits until the snapshot is sealed or an attempt to seal it, or one below it, has failed.
    func wait(for snapshot: Snapshot) throws(VolumeError) {
        if snapshot.isSealed { return }
        work.withLock { work in
            work.failures = [:]
            work.retryAt = nil
            if !work.snapshots.contains(where: { $0 === snapshot }) { work.snapshots.append(snapshot) }
        }
        let failure = work.wait { work -> VolumeError?? in
            if snapshot.isSealed { return .some(nil) }
            if let failure = Self.failure(of: snapshot, work) { return failure }
            return work.isStopping ? .some(.catalog("the store is closing; try again")) : nil
        }
        if let failure { throw failure }
    }

    private static func failure(of snapshot: Snapshot, _ work: Work) -> VolumeError? {
        var next: Snapshot? = snapshot
        while let snapshot = next {
            if let failure = work.failures[snapshot.id] { return failure }
            next = snapshot.below
        }
        return nil
    }

    /// Ends the thread; a seal that is under way is given up, and taken up again at the next start.
    func stop() {
        work.withLock { $0.isStopping = true }
        let thread = self.thread.withLock { thread in
            defer { thread = nil }
            return thread
        }
        thread?.join()
    }

    // MARK: The thread

    private enum Job {
        case seal(Snapshot), dispose([Registry.Garbage]), collect, checkpoint, stop
    }

    private static func main(_ work: Monitor<Work>, _ registry: Registry) {
        let log = Log.logger("volumes")
        // On Linux this is the calling thread's alone: readers and writers go first.
        setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 10)
        while true {
            switch next(work) {
            case .stop: return
            case .collect: _ = try? registry.collect()
            case .checkpoint:
                do throws(VolumeError) { try registry.catalog.checkpointIfLarge() } catch {
                    log.warning("the catalog's log could not be moved: \(error)")
                }
            case .dispose(let garbage): dispose(garbage, work, registry, log)
            case .seal(let snapshot): attempt(snapshot, work, registry, log)
            }
        }
    }

    private static func dispose(
        _ garbage: [Registry.Garbage], _ work: Monitor<Work>, _ registry: Registry, _ log: Logger
    ) {
        for part in garbage {
            do throws(VolumeError) { try registry.dispose(part) } catch {
                log.warning("files of what was removed stay until the next start: \(error)")
            }
            if !part.snapshots.isEmpty { work.withLock { $0.mustCollect = true } }
        }
    }

    private static func attempt(
        _ snapshot: Snapshot, _ work: Monitor<Work>, _ registry: Registry, _ log: Logger
    ) {
        let seal = Seal(registry) { work.withLock { $0.isStopping } }
        do throws(VolumeError) {
            let isSealed = try seal.run(snapshot)
            work.withLock { work in
                work.snapshots.removeAll { $0 === snapshot }
                if !isSealed {
                    work.failures[snapshot.id] = .broken("snapshot", reason: "it has been removed")
                }
                work.mustCollect = true
            }
        } catch {
            if work.withLock({ $0.isStopping }) { return }
            log.warning("snapshot \(Delta.hex(snapshot.id)) could not be sealed, it is tried again: \(error)")
            work.withLock { work in
                work.failures[snapshot.id] = error
                work.retryAt = .now.advanced(bySeconds: retrySeconds)
            }
        }
    }

    private static func next(_ work: Monitor<Work>) -> Job {
        while true {
            let retryAt = work.withLock { $0.retryAt }
            if let retryAt, MonotonicTime.now >= retryAt { work.withLock { $0.retryAt = nil } }
            let take = { (work: inout Work) -> Job? in
                if !work.garbage.isEmpty {
                    defer { work.garbage = [] }
                    return .dispose(work.garbage)
                }
                if work.isStopping { return .stop }
                if work.mustCheckpoint {
                    work.mustCheckpoint = false
                    return .checkpoint
                }
                if work.retryAt == nil, let snapshot = work.snapshots.first { return .seal(lowest(snapshot)) }
                if work.mustCollect {
                    work.mustCollect = false
                    return .collect
                }
                return nil
            }
            guard let deadline = work.withLock({ $0.retryAt }) else { return work.wait(take) }
            if let job = work.wait(until: deadline, take) { return job }
        }
    }

    /// The snapshot to seal first: the one at the bottom of the chain.
    private static func lowest(_ snapshot: Snapshot) -> Snapshot {
        var lowest = snapshot
        while let below = lowest.below, !below.isSealed { lowest = below }
        return lowest
    }
}
