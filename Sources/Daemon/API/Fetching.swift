// SPDX-License-Identifier: Apache-2.0

/// What the daemon fetches, part of `GET /v1/status`.
public struct FetchInfo: Codable, Equatable, Sendable {
    /// Requests of one urgency.
    public struct Class: Codable, Equatable, Sendable {
        /// `demand`, `read-ahead`, `boot` or `fill`.
        public let name: String
        public let requests: Int
        public let queuedChunks: Int
        public let inFlightBytes: UInt64
        /// Since the daemon started.
        public let fetchedBytes: UInt64
        /// Reads that wait.
        public let waiting: Int
    }

    /// A place that packs come from.
    public struct Source: Codable, Equatable, Sendable {
        public let name: String
        /// It failed last, and is tried again now and then.
        public let isDown: Bool
        /// Until the first byte.
        public let latencyMs: Double?
        public let bytesPerSecond: Double?
        public let requests: UInt64
        public let fetchedBytes: UInt64
        public let failures: UInt64
        /// Chunks that did not match their digest.
        public let damagedChunks: UInt64
        public let lastError: String?
    }

    /// A read that waits although its chunk has been asked for.
    public struct Stalled: Codable, Equatable, Sendable {
        public let chunk: String
        public let pack: String
        public let waitingSeconds: Double
        /// What the sources answered last.
        public let reasons: [String]
    }

    public let classes: [Class]
    public let sources: [Source]
    /// The longest first; at most 32.
    public let stalled: [Stalled]
    public let bufferedBytes: Int
}

/// What `POST /v1/fills` takes.
public struct FillRequest: Codable, Sendable {
    public enum Action: String, Codable, Sendable, CaseIterable {
        case start, pause, resume, cancel
    }

    /// Names; empty for all that are not whole.
    public var images: [String] = []
    /// Absent to change the rate alone.
    public var action: Action?
    /// Bytes each second that all fills take together; 0 for no limit.
    public var bytesPerSecond: UInt64?

    public init() {}
}

/// The fetching of the rest of one image.
public struct FillInfo: Codable, Equatable, Sendable {
    public enum State: String, Codable, Sendable {
        /// The image is whole.
        case complete
        case running
        /// Somebody has stopped it for now.
        case paused
        /// It goes on when no container waits.
        case waiting
        /// It goes on when the cache has room for what is missing.
        case noRoom
        /// Nobody asks for more than what is read.
        case off
        /// Some chunks could not be had from any source.
        case incomplete
    }

    public let image: String
    public let state: State
    /// Bytes of the image that are not holes, and those of them that are here.
    public let dataBytes: UInt64
    public let localBytes: UInt64

    public var isOver: Bool { state == .complete || state == .incomplete || state == .off }
}
