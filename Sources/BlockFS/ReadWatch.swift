// SPDX-License-Identifier: Apache-2.0

import Base
import Synchronization

/// One read of a watched file.
public struct WatchedRead: Sendable {
    /// When it was answered, seconds since the watch began.
    public let seconds: Double
    public let offset: UInt64
    public let byteCount: Int
    /// Until it was answered.
    public let durationSeconds: Double
    public let origin: ReadOrigin
}

/// Takes down the reads of one file for somebody who looks on.
///
/// Bounded: what nobody takes in time is counted and dropped, and the readers never wait.
public final class ReadWatch: Sendable {
    /// The name of the image or volume.
    public let name: String
    private let begun = MonotonicTime.now
    private let state = Monitor((reads: [WatchedRead](), dropped: UInt64(0)))

    private static let limit = 65536

    init(name: String) { self.name = name }

    func note(_ offset: UInt64, _ byteCount: Int, _ origin: ReadOrigin, since start: MonotonicTime) {
        let now = MonotonicTime.now
        state.withLock { state in
            guard state.reads.count < Self.limit else {
                state.dropped += 1
                return
            }
            state.reads.append(
                WatchedRead(
                    seconds: now.seconds(since: begun), offset: offset, byteCount: byteCount,
                    durationSeconds: now.seconds(since: start), origin: origin))
        }
    }

    /// What has come since the last call, waiting for something at most so long, and how much was dropped.
    public func take(waitSeconds: Double) -> (reads: [WatchedRead], dropped: UInt64) {
        _ = state.wait(until: .now.advanced(bySeconds: waitSeconds)) { $0.reads.isEmpty ? nil : true }
        return state.withLock { state in
            defer { state = ([], 0) }
            return state
        }
    }
}

/// Who looks on at the moment; mostly nobody, which costs a read one load.
final class ReadWatches: Sendable {
    let isWatching = Atomic<Bool>(false)
    private let watches = Lock<[ReadWatch]>([])

    func begin(_ name: String) -> ReadWatch {
        let watch = ReadWatch(name: name)
        watches.withLock { watches in
            watches.append(watch)
            isWatching.store(true, ordering: .releasing)
        }
        return watch
    }

    func end(_ watch: ReadWatch) {
        watches.withLock { watches in
            watches.removeAll { $0 === watch }
            isWatching.store(!watches.isEmpty, ordering: .releasing)
        }
    }

    @inline(never)
    func note(
        _ file: OpenFile, _ offset: UInt64, _ byteCount: Int, _ origin: ReadOrigin, since start: MonotonicTime
    ) {
        for watch in watches.withLock({ $0 }) where watch.name == file.node.name {
            watch.note(offset, byteCount, origin, since: start)
        }
    }
}

/// What has been read and written in one file since the kernel has known it, and what waits there.
public struct FileActivity: Sendable {
    public let name: String
    public let isVolume: Bool
    public let readBytes: UInt64
    public let writtenBytes: UInt64
    public let waitingReads: Int
    /// Of the one that waits for longest.
    public let waitingSeconds: Double
}
