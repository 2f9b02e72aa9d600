// SPDX-License-Identifier: Apache-2.0

public import Base

/// Why chunks that were wanted are not here.
public enum FetchFailure: Error, Sendable, CustomStringConvertible {
    /// What one source answered last.
    public struct Attempt: Sendable, Equatable {
        public let source: String
        public let failure: SourceFailure
    }

    /// No source delivered the chunk in time.
    case unreachable(chunk: Digest, pack: Digest?, attempts: [Attempt], seconds: Double)
    /// The chunk was fetched and could not be stored.
    case store(ChunkStoreError)
    /// Whoever asked took it back, or the image was removed.
    case cancelled
    /// The caller's own time was over; the fetch goes on.
    case timedOut(seconds: Double)

    public var description: String {
        switch self {
        case .unreachable(let chunk, nil, _, _):
            "chunk \(chunk) is neither here nor in any pack; pull the image again"
        case .unreachable(let chunk, let pack?, let attempts, let seconds):
            "chunk \(chunk) of pack \(pack) was not delivered within \(Int(seconds.rounded())) s: "
                + (attempts.isEmpty
                    ? "none of its sources is known here; check the configuration"
                    : attempts.map { "\($0.source): \($0.failure)" }.joined(separator: "; ")
                        + "; check the network and the sources")
        case .store(let error): "a fetched chunk could not be stored: \(error)"
        case .cancelled: "the fetch was cancelled"
        case .timedOut(let seconds): "no answer within \(seconds) s; the fetch goes on"
        }
    }
}
