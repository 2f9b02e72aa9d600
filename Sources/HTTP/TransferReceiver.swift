// SPDX-License-Identifier: Apache-2.0

/// Status and headers of the response that counts: redirects that were followed are left out.
public struct ResponseHead: Sendable {
    /// 100...599.
    public let status: Int
    /// Header lines in order of arrival; names in lower case.
    public let headers: [(name: String, value: String)]
    /// Where the response came from, after redirects.
    public let effectiveURL: String

    public init(status: Int, headers: [(name: String, value: String)], effectiveURL: String) {
        self.status = status
        self.headers = headers
        self.effectiveURL = effectiveURL
    }

    /// The value of the first header of that name, given in lower case.
    public func header(_ name: String) -> String? {
        headers.first { $0.name == name }?.value
    }

    /// True for 200...299.
    public var isSuccess: Bool { 200..<300 ~= status }

    /// First byte and total size of a 206 response's Content-Range; nil when there is none that makes
    /// sense, and a nil total when the server does not know it.
    public var contentRange: (range: Range<UInt64>, totalBytes: UInt64?)? {
        guard let value = header("content-range"), value.lowercased().hasPrefix("bytes ") else { return nil }
        let parts = value.dropFirst(6).split(separator: "/", omittingEmptySubsequences: false)
        let bounds = parts[0].split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, bounds.count == 2, let first = UInt64(bounds[0]),
            let last = UInt64(bounds[1]),
            first <= last, last < .max
        else { return nil }
        if parts[1] == "*" { return (first..<last + 1, nil) }
        guard let total = UInt64(parts[1]), last < total else { return nil }
        return (first..<last + 1, total)
    }
}

/// What a receiver wants next.
public enum TransferFlow: Sendable {
    case proceed
    /// These bytes are not taken; they come again after `TransferLoop.resume`.
    case pause
    /// Nothing more: the transfer ends with `.stopped`.
    case stop
}

/// What a finished transfer was.
public struct TransferSummary: Sendable {
    public let head: ResponseHead
    /// Bytes of the body that arrived.
    public let bytes: UInt64
    /// Milliseconds from the start until the response began; the wait for a free connection counts.
    public let firstByteMs: Int
    /// Milliseconds from the start until the end.
    public let totalMs: Int
}

/// Hears of one transfer, on the loop's thread: nothing here may block, or every transfer waits.
public protocol TransferReceiver: AnyObject, Sendable {
    /// Comes once, before the first byte of the body; false stops the transfer.
    func begin(_ head: ResponseHead) -> Bool
    /// A piece of the body in order, of at most some ten thousand bytes; valid during the call only.
    func receive(_ bytes: UnsafeRawBufferPointer) -> TransferFlow
    /// Comes exactly once and last. A response with an error status is a success here.
    func finish(_ result: Result<TransferSummary, HTTPError>)
}
