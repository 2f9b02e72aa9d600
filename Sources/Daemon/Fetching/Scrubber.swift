// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc

/// Reads every chunk again now and then, at a capped rate, and fetches anew what has gone bad.
///
/// What no source has is left where it is: reads of it fail, and `slacker fsck` names who needs it.
final class Scrubber: Sendable {
    private struct State {
        var isRunning = false
        var isPaused = false
        /// Somebody has asked for a round now.
        var isWanted = false
        var isEnding = false
        var doneBytes: UInt64 = 0
        var totalBytes: UInt64 = 0
        /// Since the daemon started.
        var rounds = 0
        var mended = 0
        /// Of the last round that came to its end.
        var damaged: [String] = []
    }

    private let chunks: ChunkStore
    private let engine: FetchEngine
    private let bytesPerSecond: UInt64
    private let intervalSeconds: Double
    private let stampPath: String
    private let state = Monitor(State())

    /// Milliseconds that a bad chunk may take to be fetched; it is fetched when it is read otherwise.
    private static let fetchMs = 60_000
    /// Seconds between looks whether a round is due.
    private static let lookSeconds = 60.0

    /// - Parameters:
    ///   - bytesPerSecond: that are read at most; 0 for no limit.
    ///   - intervalSeconds: from the end of a round to the next one; 0 for none but those that are asked for.
    init(
        root: String, chunks: ChunkStore, engine: FetchEngine, bytesPerSecond: UInt64, intervalSeconds: Double
    ) {
        self.chunks = chunks
        self.engine = engine
        self.bytesPerSecond = bytesPerSecond
        self.intervalSeconds = intervalSeconds
        stampPath = root + "/scrubbed"
    }

    /// The life of the thread that reads; returns after `stop`.
    func run() {
        while true {
            let limit = MonotonicTime.now.advanced(bySeconds: Self.lookSeconds)
            let isWanted = state.wait(until: limit) { state -> Bool? in
                if state.isEnding { return false }
                if !state.isWanted || state.isPaused { return nil }
                state.isWanted = false
                return true
            }
            if isWanted == false { return }
            if isWanted == true || (isDue() && !state.withLock { $0.isPaused }) { round() }
        }
    }

    func stop() {
        state.withLock { $0.isEnding = true }
    }

    func change(_ request: ScrubRequest) -> ScrubInfo {
        state.withLock { state in
            switch request.action {
            case .start:
                state.isWanted = !state.isRunning
                state.isPaused = false
            case .pause: state.isPaused = true
            case .resume: state.isPaused = false
            case nil: break
            }
        }
        return info
    }

    var info: ScrubInfo {
        let ended = lastEnd()
        return state.withLock { state in
            ScrubInfo(
                state: state.isPaused ? .paused : state.isRunning || state.isWanted ? .running : .waiting,
                doneBytes: state.doneBytes, totalBytes: state.totalBytes, rounds: state.rounds,
                lastEnded: ended.map { Timestamp.text($0) }, mendedChunks: state.mended,
                damaged: state.damaged)
        }
    }

    // MARK: A round

    private func round() {
        state.withLock { state in
            state.isRunning = true
            (state.doneBytes, state.totalBytes) = (0, 0)
        }
        var isWhole = true
        let (damaged, bytes) = chunks.verifyAll { done, total in
            isWhole = keepPace(done, total)
            return isWhole
        }
        var open: [String] = []
        for chunk in damaged where !mend(chunk) { open.append("\(chunk.chunk.digest): \(chunk.reason)") }
        state.withLock { state in
            state.isRunning = false
            state.damaged = open
            if isWhole { state.rounds += 1 }
        }
        for line in open { Log.error("scrub", "a chunk is damaged and no source has it", ["chunk": line]) }
        guard isWhole else { return }
        Log.info("scrub", "every chunk was read", ["bytes": "\(bytes)", "damaged": "\(damaged.count)"])
        do throws(SystemError) {
            try Directories.replaceFile(stampPath, with: Array("\(time(nil))\n".utf8))
        } catch {
            Log.warning("scrub", "the next start reads everything again", ["reason": "\(error)"])
        }
    }

    /// Waits as long as the rate asks for, and while somebody wants it to pause; false at the daemon's end.
    private func keepPace(_ done: UInt64, _ total: UInt64) -> Bool {
        let step = state.withLock { state in
            defer { (state.doneBytes, state.totalBytes) = (done, total) }
            return done - min(done, state.doneBytes)
        }
        let seconds = bytesPerSecond == 0 ? 0 : Double(step) / Double(bytesPerSecond)
        let limit = MonotonicTime.now.advanced(bySeconds: seconds)
        let isEnding = state.wait(until: limit) { $0.isEnding ? true : nil } ?? false
        if isEnding { return false }
        return state.wait { state -> Bool? in
            if state.isEnding { return false }
            return state.isPaused ? nil : true
        }
    }

    /// Has a bad chunk fetched anew; false when no source has it.
    private func mend(_ chunk: DamagedChunk) -> Bool {
        guard chunk.canBeFetched else { return false }
        do {
            guard try chunks.withdraw(chunk) else { return true }
            Log.warning(
                "scrub", "a chunk was damaged and is fetched anew", ["chunk": "\(chunk.chunk.digest)"])
            try engine.wantAndWait([chunk.fetchHandle], class: .background, timeoutMs: Self.fetchMs)
            state.withLock { $0.mended += 1 }
        } catch {
            // Withdrawn it is harmless: whoever reads it fetches it.
            Log.warning(
                "scrub", "a damaged chunk is fetched when it is read", ["chunk": "\(chunk.chunk.digest)"])
        }
        return true
    }

    // MARK: When

    private func isDue() -> Bool {
        if intervalSeconds == 0 { return false }
        guard let last = lastEnd() else { return true }
        // A clock that was set back is no reason to wait for longer than the interval.
        return abs(Double(Int64(time(nil)) - last)) >= intervalSeconds
    }

    private func lastEnd() -> Int64? {
        guard let bytes = try? File.small(stampPath, limitBytes: 64) else { return nil }
        return Int64(String(decoding: bytes, as: UTF8.self).filter { $0.isNumber })
    }
}
