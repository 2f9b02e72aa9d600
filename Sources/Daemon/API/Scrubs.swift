// SPDX-License-Identifier: Apache-2.0

/// `POST /v1/scrubs`: the reading of all chunks in the background.
public struct ScrubRequest: Codable, Equatable, Sendable {
    public enum Action: String, Codable, Sendable {
        case start, pause, resume
    }

    /// Absent to change nothing.
    public var action: Action?

    public init(_ action: Action? = nil) {
        self.action = action
    }
}

/// How the reading of all chunks stands; part of `GET /v1/status`.
public struct ScrubInfo: Codable, Equatable, Sendable {
    public enum State: String, Codable, Sendable {
        case running
        /// Somebody has stopped it for now.
        case paused
        /// Until the next round is due.
        case waiting
    }

    public let state: State
    /// Of the round that runs, or of the last one.
    public let doneBytes: UInt64
    public let totalBytes: UInt64
    /// Rounds that came to their end since the daemon started.
    public let rounds: Int
    /// When the last round came to its end, in whatever daemon's life.
    public let lastEnded: String?
    /// Chunks that were fetched anew since the daemon started.
    public let mendedChunks: Int
    /// Digests of the chunks that the last round found damaged and that no source has, with the reason.
    public let damaged: [String]
}
