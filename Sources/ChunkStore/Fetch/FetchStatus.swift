// SPDX-License-Identifier: Apache-2.0

public import Base

/// What the fetch engine is doing, for people and metrics.
public struct FetchStatus: Sendable {
    /// Work of one class.
    public struct OfClass: Sendable {
        public let `class`: FetchClass
        /// Chunks that wait for a request.
        public var queuedChunks = 0
        /// Requests under way, and the bytes that they are still to bring.
        public var requests = 0
        public var inFlightBytes: UInt64 = 0
        /// Bytes received since start, as they came.
        public var fetchedBytes: UInt64 = 0
        /// Wants that are not answered yet.
        public var waiting = 0
        /// How long those waited that were answered with success.
        public var waits = DurationHistogram()
    }

    /// One source since start.
    public struct OfSource: Sendable {
        public let name: String
        /// Smoothed seconds to the first byte; nil: not measured.
        public var latencySeconds: Double?
        /// Smoothed bytes per second of everything under way there together; nil: not measured.
        public var bytesPerSecond: Double?
        public var requests: UInt64 = 0
        public var fetchedBytes: UInt64 = 0
        public var failures: UInt64 = 0
        /// Chunks that did not match their digest.
        public var damagedChunks: UInt64 = 0
        public var lastError: String?
        /// It failed last and is tried again now and then.
        public var isDown = false
        /// Of `fetchedBytes`, by the rank of the class.
        public var fetchedByClass: [UInt64] = []
        /// From a request to its first byte.
        public var firstBytes = DurationHistogram()
    }

    /// A want that waits although it has been tried.
    public struct Stalled: Sendable {
        public let chunk: Digest
        public let pack: Digest
        public let waitingSeconds: Double
        public let attempts: [FetchFailure.Attempt]
    }

    public var classes: [OfClass] = FetchClass.allCases.map { OfClass(class: $0) }
    public var sources: [OfSource] = []
    /// The longest first; at most 32.
    public var stalled: [Stalled] = []
    /// Bytes that were received and are not yet in the store.
    public var bufferedBytes = 0
    /// Requests raced at a second source, and how many of those were faster.
    public var hedges: UInt64 = 0
    public var hedgesWon: UInt64 = 0
    /// Wants that were answered with a failure, and chunks that were asked for again after one.
    public var failedWants: UInt64 = 0
    public var retries: UInt64 = 0
    /// Chunks that came and were stored, and their bytes as they came and as they are.
    public var storedChunks: UInt64 = 0
    public var storedPackedBytes: UInt64 = 0
    public var storedPlainBytes: UInt64 = 0
}
