// SPDX-License-Identifier: Apache-2.0

/// Why no response came; one with an error status is a response too.
///
/// The text that comes first in each case names the address, without what may be secret in its query.
public enum HTTPError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The library or a function of it is not there.
    case libraryMissing(String)
    /// Nobody listens at the address, or its host has none.
    case cannotConnect(String, reason: String? = nil)
    /// Connecting, or the whole transfer, took longer than the request allows.
    case timedOut(String)
    /// Connected, but no byte moved for so long.
    case stalled(String, milliseconds: Int)
    /// The peer closed the connection before its answer was complete.
    case cutShort(String)
    /// The connection was broken off, not closed.
    case reset(String)
    /// No secure connection: the certificate, a key, or what the peers could not agree on.
    case tls(String, reason: String)
    /// The proxy could not be reached, or would not connect further.
    case proxy(String, reason: String)
    /// The servers sent the request round for longer than allowed.
    case tooManyRedirects(String, limit: Int)
    /// The body is longer than the request allows.
    case bodyTooLong(String, limitBytes: Int)
    /// The one who takes the stream wants no more of it, or the transfer was cancelled.
    case stopped(String)
    /// Bytes to send could not be read.
    case uploadUnreadable(String, reason: String)
    /// Anything else, with the library's own words.
    case failed(String, reason: String)

    public var description: String {
        switch self {
        case .libraryMissing(let name):
            "\(name): cannot be loaded; install the package libcurl4 (Debian) or libcurl"
        case .cannotConnect(let url, let reason):
            "\(url): no connection" + (reason.map { ": \($0)" } ?? "")
        case .timedOut(let url): "\(url): no answer in time"
        case .stalled(let url, let milliseconds): "\(url): nothing moved for \(milliseconds) ms"
        case .cutShort(let url): "\(url): the connection ended before the answer did"
        case .reset(let url): "\(url): the connection was reset by the other side"
        case .tls(let url, let reason): "\(url): no secure connection: \(reason)"
        case .proxy(let url, let reason): "\(url): the proxy does not let this through: \(reason)"
        case .tooManyRedirects(let url, let limit): "\(url): redirected more than \(limit) times"
        case .bodyTooLong(let url, let limit): "\(url): the answer is longer than \(limit) bytes"
        case .stopped(let url): "\(url): stopped by the reader"
        case .uploadUnreadable(let url, let reason): "\(url): what is to be sent cannot be read: \(reason)"
        case .failed(let url, let reason): "\(url): \(reason)"
        }
    }
}
