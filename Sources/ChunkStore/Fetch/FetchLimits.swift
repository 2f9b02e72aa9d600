// SPDX-License-Identifier: Apache-2.0

/// What the fetch engine may use, and how patient it is.
public struct FetchLimits: Sendable, Equatable {
    /// Figures of one class.
    public struct PerClass: Sendable, Equatable {
        /// Requests under way at one source at most.
        public var requests: Int
        /// Bytes of one request at most.
        ///
        /// The boot pack is one request whatever this says.
        public var requestBytes: UInt64
        /// Bytes that nobody wants and that are fetched nevertheless to make one request of two.
        public var gapBytes: UInt64
        /// Bytes per second over all sources; nil: no bound.
        public var bytesPerSecond: UInt64?

        public init(
            requests: Int, requestBytes: UInt64, gapBytes: UInt64, bytesPerSecond: UInt64? = nil
        ) {
            self.requests = requests
            self.requestBytes = requestBytes
            self.gapBytes = gapBytes
            self.bytesPerSecond = bytesPerSecond
        }
    }

    /// Its gap is what lower classes have queued between two wanted chunks, never bytes that nobody wants.
    public var demand = PerClass(requests: 64, requestBytes: 4 << 20, gapBytes: 256 << 10)
    public var readAhead = PerClass(requests: 8, requestBytes: 8 << 20, gapBytes: 128 << 10)
    public var boot = PerClass(requests: 2, requestBytes: 1 << 40, gapBytes: 256 << 10)
    public var background = PerClass(requests: 4, requestBytes: 8 << 20, gapBytes: 256 << 10)

    /// Bytes that were received and are not yet in the store.
    ///
    /// Background fills stop at half of it, other
    /// classes at three quarters, demand at the whole.
    public var bufferBytes = 48 << 20
    /// Threads that decompress, check and enter chunks.
    public var decoderThreads = 2

    /// How long a want is kept when every source fails.
    public var wantSeconds: Double = 60
    /// No byte for so long ends a request, and another source or another try takes over.
    public var stallSeconds: Double = 10
    /// A request may take so long, and the time that its bytes take at `slowestBytesPerSecond`.
    public var requestSeconds: Double = 30
    public var slowestBytesPerSecond: Double = 16_384
    /// The longest pause between two tries of a source that fails; it grows from an eighth of it.
    public var backoffSeconds: Double = 0.7
    /// A source's own demand for a pause (Retry-After) is followed up to this.
    public var retryAfterSeconds: Double = 60

    /// Share of the demand requests that may be raced at a second source when the first one is slow.
    public var hedgeShare = 0.05
    /// What a demand read may lose to requests of lower classes before those are paused.
    public var contentionSeconds = 0.005

    /// First and largest window of read-ahead.
    public var readAheadWindow: ClosedRange<UInt64> = (128 << 10)...(8 << 20)
    /// A map of which more bytes were missed than this, and still are, is fetched whole; nil: never.
    public var eagerBytes: UInt64? = 8 << 20

    public init() {}

    public subscript(_ class: FetchClass) -> PerClass {
        get {
            switch `class` {
            case .demand: demand
            case .readAhead: readAhead
            case .boot: boot
            case .background: background
            }
        }
        set {
            switch `class` {
            case .demand: demand = newValue
            case .readAhead: readAhead = newValue
            case .boot: boot = newValue
            case .background: background = newValue
            }
        }
    }
}
