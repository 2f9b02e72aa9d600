// SPDX-License-Identifier: Apache-2.0

public import Base

/// How far a fill is.
///
/// Bytes are those of packs, as they come over the wire.
public struct FillProgress: Sendable, Equatable {
    public enum State: Sendable, Equatable {
        case running
        case paused
        /// Everything is present.
        case complete
        case cancelled
        /// It went through all, and these chunks could not be had; others are present.
        case incomplete(chunks: [Digest])
    }

    public var state: State = .running
    /// Absent when the fill began.
    public var totalBytes: UInt64 = 0
    public var totalChunks = 0
    /// Of these, what is present now, whoever fetched it.
    public var presentBytes: UInt64 = 0
    public var presentChunks = 0

    /// True when nothing follows any more.
    public var isOver: Bool { state != .running && state != .paused }
}

/// A fill under way.
///
/// Letting go of it does not end the fill.
public final class FillHandle: Sendable {
    private let core: FetchCore
    private let walk: UInt64
    private let latest: Monitor<FillProgress>

    init(core: FetchCore, walk: UInt64, latest: Monitor<FillProgress>) {
        self.core = core
        self.walk = walk
        self.latest = latest
    }

    public var progress: FillProgress { latest.wait { $0 } }

    /// No new requests; those under way finish.
    public func pause() { core.setPaused(walk: walk, true) }

    public func resume() { core.setPaused(walk: walk, false) }

    /// Ends it; what has been fetched stays.
    public func cancel() { core.cancelWalk(walk) }

    /// Waits for the end; nil when it has not come after so long.
    public func wait(seconds: Double) -> FillProgress? {
        latest.wait(until: MonotonicTime.now.advanced(bySeconds: seconds)) { $0.isOver ? $0 : nil }
    }
}
