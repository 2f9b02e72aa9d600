// SPDX-License-Identifier: Apache-2.0

/// Why no response came; one with an error status is a response too.
public enum HTTPError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The library or a function of it is not there.
    case libraryMissing(String)
    /// Nobody listens at the address.
    case cannotConnect(String)
    /// The time that the request allows has passed.
    case timedOut(String)
    /// The peer closed the connection before its answer was complete.
    case cutShort(String)
    /// The body is longer than the request allows.
    case bodyTooLong(String, limitBytes: Int)
    /// The one who takes the stream wants no more of it.
    case stopped(String)
    /// Anything else, with the library's own words.
    case failed(String, reason: String)

    public var description: String {
        switch self {
        case .libraryMissing(let name):
            "\(name): cannot be loaded; install the package libcurl4 (Debian) or libcurl"
        case .cannotConnect(let url): "\(url): no connection"
        case .timedOut(let url): "\(url): no answer in time"
        case .cutShort(let url): "\(url): the connection ended before the answer did"
        case .bodyTooLong(let url, let limit): "\(url): the answer is longer than \(limit) bytes"
        case .stopped(let url): "\(url): stopped by the reader"
        case .failed(let url, let reason): "\(url): \(reason)"
        }
    }
}
