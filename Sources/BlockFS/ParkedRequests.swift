// SPDX-License-Identifier: Apache-2.0

import Base
import CFuse3
import CLinux
import ChunkStore
import Glibc
import Synchronization
import Volumes

/// What a read that waits turns out to have waited for.
final class ReadWait: Sendable {
    let isDemand = Atomic<Bool>(false)

    var origin: ReadOrigin { isDemand.load(ordering: .relaxed) ? .demandFetch : .bootPack }
}

/// Requests that wait for absent blocks while libfuse's threads go on with others.
///
/// A request is tried; where blocks are absent it is put here and the fetch engine told. When they have come
/// a thread of this object tries it again and answers. The engine's own threads only pass the word on:
/// trying again may wait for a volume's gate, and a thread that decodes chunks must not.
///
/// How many can wait is bounded by what the kernel sends: `max_background` and the threads that wait in it.
final class ParkedRequests: Sendable {
    /// Tries a request; nil when it has been answered, else what it waits for.
    ///
    /// Throws before it answers.
    typealias Attempt = @Sendable (_ request: fuse_req_t, _ server: Server) throws -> AbsentBlocks?

    /// Blocks that came can be dropped again before they are read; more often than this is hopeless.
    static let maximumRounds = 16
    /// A request that was parked again and again for so long fails.
    static let maximumSeconds = 150.0
    private static let threadCount = 2

    private enum Outcome: Sendable {
        case present
        case failed(String)
        case interrupted
    }

    private enum Stage { case entering, waiting, ready, running }

    private struct Entry: @unchecked Sendable {
        // Unchecked because: libfuse lets any thread answer a request, and the entry's owner answers it once.
        let request: fuse_req_t
        let file: OpenFile
        let attempt: Attempt
        let wait: ReadWait?
        let since = MonotonicTime.now
        var stage = Stage.entering
        var round = 0
        var want: WantID?
        var isInterrupted = false
    }

    private struct State {
        var entries: [UInt64: Entry] = [:]
        var ready: [(id: UInt64, outcome: Outcome)] = []
        var nextID: UInt64 = 1
        var isRefusing = false
        /// Refuse from then on.
        var refuseAt: MonotonicTime?
        var isEnding = false
    }

    private let engine: FetchEngine?
    private let state = Monitor(State())
    private let threads = Lock<[NamedThread]>([])
    private let failures = FailureLog()

    init(_ engine: FetchEngine?) {
        self.engine = engine
    }

    /// Requests that wait at the moment.
    var count: Int { state.withLock { $0.entries.count } }

    /// Files with requests that wait: how many, and for how long the oldest does.
    func waiting() -> [String: (count: Int, seconds: Double)] {
        let now = MonotonicTime.now
        return state.withLock { state in
            state.entries.values.reduce(into: [:]) { files, entry in
                let known = files[entry.file.node.name] ?? (0, 0)
                files[entry.file.node.name] = (
                    known.count + 1, max(known.seconds, now.seconds(since: entry.since))
                )
            }
        }
    }

    // MARK: Parking

    /// Keeps a request until its blocks are here; `attempt` answers it then.
    ///
    /// Throws, without an answer, when nothing can be fetched.
    func park(
        _ request: fuse_req_t, _ file: OpenFile, _ absent: AbsentBlocks, _ wait: ReadWait? = nil,
        _ attempt: @escaping Attempt
    ) throws(FileError) {
        guard let engine else {
            failures.note(file, "there is nothing to fetch them with")
            throw .io
        }
        let id: UInt64? = state.withLock { state in
            if state.isRefusing { return nil }
            let id = state.nextID
            state.nextID += 1
            state.entries[id] = Entry(request: request, file: file, attempt: attempt, wait: wait)
            return id
        }
        guard let id else { throw .io }
        // Nobody may answer, and so free, the request before this call has returned: hence the stage.
        fuse_req_interrupt_func(request, Self.interrupted, UnsafeMutableRawPointer(bitPattern: UInt(id)))
        fetch(id, absent, engine, wait)
    }

    /// Begins a round of waiting.
    private func fetch(_ id: UInt64, _ absent: AbsentBlocks, _ engine: FetchEngine, _ wait: ReadWait?) {
        let round: Int? = state.withLock { state in
            guard var entry = state.entries[id] else { return nil }
            entry.round += 1
            entry.stage = .waiting
            state.entries[id] = entry
            if entry.isInterrupted { Self.finish(id, .interrupted, &state) }
            if state.isRefusing { Self.finish(id, .failed("the file system is being stopped"), &state) }
            return state.entries[id]?.stage == .waiting ? entry.round : nil
        }
        guard let round else { return }
        let want = engine.want(absent.handles, class: .demand) { failure in
            self.state.withLock { state in
                guard state.entries[id]?.round == round else { return }
                Self.finish(id, failure.map { .failed("\($0)") } ?? .present, &state)
            }
        }
        engine.noteMiss(absent.map, absent.range)
        guard let want else { return }
        if want.joined != .boot { wait?.isDemand.store(true, ordering: .relaxed) }
        let isWanted = state.withLock { state in
            guard let entry = state.entries[id], entry.round == round, entry.stage == .waiting else {
                return false
            }
            state.entries[id]?.want = want
            return true
        }
        // Interrupted or refused meanwhile; harmless when it was answered.
        if !isWanted { engine.cancel(want) }
    }

    private static func finish(_ id: UInt64, _ outcome: Outcome, _ state: inout State) {
        guard state.entries[id]?.stage == .waiting else { return }
        state.entries[id]?.stage = .ready
        state.ready.append((id, outcome))
    }

    /// The kernel says that nobody waits for the answer any more, or that who waits has a signal to see to.
    private static let interrupted: fuse_interrupt_func_t = { request, data in
        guard let request, let userdata = fuse_req_userdata(request) else { return }
        let id = UInt64(UInt(bitPattern: data))
        Unmanaged<Server>.fromOpaque(userdata)._withUnsafeGuaranteedRef { $0.parked.interrupt(id) }
    }

    private func interrupt(_ id: UInt64) {
        let want: WantID? = state.withLock { state in
            // Numbers are never used again, so one that is not there has been answered.
            guard state.entries[id] != nil else { return nil }
            state.entries[id]?.isInterrupted = true
            Self.finish(id, .interrupted, &state)
            return state.entries[id]?.want
        }
        if let want { engine?.cancel(want) }
    }

    // MARK: Answering

    /// Starts the threads that answer; `server` lives until `stop` has returned.
    func start(_ server: Server) throws(SystemError) {
        for _ in 0..<Self.threadCount {
            let thread = try NamedThread("fuse-answer") { self.answer(server) }
            threads.withLock { $0.append(thread) }
        }
    }

    private func answer(_ server: Server) {
        // Writeback may wait for what this thread answers.
        _ = slk_set_io_flusher()
        while let (id, entry, outcome) = next() {
            switch outcome {
            case .interrupted: fuse_reply_err(entry.request, EINTR)
            case .failed(let reason):
                failures.note(entry.file, reason)
                server.memory.current().pointee.tally.noteError()
                fuse_reply_err(entry.request, EIO)
            case .present:
                if let absent = attempt(entry, server), let engine {
                    fetch(id, absent, engine, entry.wait)
                    continue
                }
            }
            state.withLock { $0.entries[id] = nil }
        }
    }

    /// Tries the request again; what it waits for now, or nil when it is answered.
    private func attempt(_ entry: Entry, _ server: Server) -> AbsentBlocks? {
        do {
            guard let absent = try entry.attempt(entry.request, server) else { return nil }
            if entry.round < Self.maximumRounds,
                MonotonicTime.now.seconds(since: entry.since) < Self.maximumSeconds
            {
                return absent
            }
            failures.note(entry.file, "they were dropped again before they could be read; enlarge the cache")
            fuse_reply_err(entry.request, EIO)
        } catch {
            fuse_reply_err(entry.request, ErrorNumbers.number(error))
        }
        return nil
    }

    /// The next one to answer; nil when the thread is to end.
    private func next() -> (UInt64, Entry, Outcome)? {
        enum Step { case answer(UInt64, Entry, Outcome), end, lookAgain }
        while true {
            let limit = state.withLock { $0.refuseAt }
            let take: (inout State) -> Step? = { state in
                if let at = state.refuseAt, MonotonicTime.now >= at { Self.refuse(&state) }
                while !state.ready.isEmpty {
                    let (id, outcome) = state.ready.removeFirst()
                    guard let entry = state.entries[id] else { continue }
                    state.entries[id]?.stage = .running
                    return .answer(id, entry, outcome)
                }
                if state.isEnding && state.entries.isEmpty { return .end }
                return state.refuseAt == limit ? nil : .lookAgain
            }
            let step = limit.map { state.wait(until: $0, take) } ?? state.wait(take)
            switch step {
            case .answer(let id, let entry, let outcome): return (id, entry, outcome)
            case .end: return nil
            case .lookAgain, nil: continue
            }
        }
    }

    // MARK: The end

    private static func refuse(_ state: inout State) {
        state.isRefusing = true
        state.refuseAt = nil
        for id in state.entries.keys { finish(id, .failed("the file system is being stopped"), &state) }
    }

    /// Answers everything that waits with EIO, and what comes as well.
    /// - Parameter after: seconds until then; `accept` takes it back.
    func refuse(after seconds: Double = 0) {
        state.withLock { state in
            if seconds <= 0 { return Self.refuse(&state) }
            state.refuseAt = .now.advanced(bySeconds: seconds)
        }
    }

    /// Waits until all that was refused has been answered, at most so long.
    func waitUntilAnswered(seconds: Double) {
        _ = state.wait(until: .now.advanced(bySeconds: seconds)) { $0.entries.isEmpty ? true : nil }
    }

    /// Waiting is allowed again.
    func accept() {
        state.withLock { state in
            state.isRefusing = false
            state.refuseAt = nil
        }
    }

    /// Returns when the last request is answered and the threads have ended; nothing may be parked any more.
    func stop() {
        let wants: [WantID] = state.withLock { state in
            Self.refuse(&state)
            state.isEnding = true
            return state.entries.values.compactMap(\.want)
        }
        for want in wants { engine?.cancel(want) }
        let threads = threads.withLock { threads in
            defer { threads = [] }
            return threads
        }
        threads.forEach { $0.join() }
    }
}
