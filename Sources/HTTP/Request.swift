// SPDX-License-Identifier: Apache-2.0

/// One HTTP request, complete in memory.
public struct Request: Sendable {
    /// One of GET, HEAD, PUT, POST, PATCH, DELETE.
    public var method: String
    /// The whole address; its host is ignored when `unixSocketPath` is set.
    public var url: String
    /// Lines to send in addition to those that the library makes, in order.
    public var headers: [(name: String, value: String)]
    /// What to send; nil for no body at all.
    public var body: [UInt8]?
    /// Connects to this unix socket in place of the address's host.
    public var unixSocketPath: String?
    /// Milliseconds until a connection must stand.
    public var connectTimeoutMs: Int
    /// Milliseconds for everything; 0 for no limit.
    public var totalTimeoutMs: Int
    /// Bytes of a response's body that are kept in memory; more is an error.
    ///
    /// Streamed bodies have no limit.
    public var responseLimitBytes: Int

    public init(
        _ method: String, _ url: String, headers: [(name: String, value: String)] = [], body: [UInt8]? = nil,
        unixSocketPath: String? = nil, connectTimeoutMs: Int = 10_000, totalTimeoutMs: Int = 0,
        responseLimitBytes: Int = 64 << 20
    ) {
        precondition(connectTimeoutMs > 0 && totalTimeoutMs >= 0 && responseLimitBytes >= 0)
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.unixSocketPath = unixSocketPath
        self.connectTimeoutMs = connectTimeoutMs
        self.totalTimeoutMs = totalTimeoutMs
        self.responseLimitBytes = responseLimitBytes
    }
}

/// What a server answered.
public struct Response: Sendable {
    /// The status code of the last response, 100...599.
    public let status: Int
    /// Header lines in order of arrival; names in lower case, since their case means nothing.
    public let headers: [(name: String, value: String)]
    /// The body; empty when it was streamed.
    public let body: [UInt8]

    public init(status: Int, headers: [(name: String, value: String)], body: [UInt8]) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// The value of the first header of that name, given in lower case.
    public func header(_ name: String) -> String? {
        headers.first { $0.name == name }?.value
    }

    /// True for 200...299.
    public var isSuccess: Bool { 200..<300 ~= status }
}

/// Letters, digits and `-._~` stay; every other byte becomes `%XX` (RFC 3986, section 2.3).
public func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var result: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
            UInt8(ascii: "_"), UInt8(ascii: "~"):
            result.append(byte)
        default:
            result += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
        }
    }
    return String(decoding: result, as: UTF8.self)
}

/// Turns `%XX` back into bytes; nil when an escape is cut short or the bytes are not UTF-8.
public func percentDecoded(_ text: some StringProtocol) -> String? {
    var result: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
        if byte != UInt8(ascii: "%") {
            result.append(byte)
            continue
        }
        guard rest.count >= 2,
            let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
            rest.first != UInt8(ascii: "+")
        else { return nil }
        result.append(value)
        rest = rest.dropFirst(2)
    }
    return String(validating: result, as: UTF8.self)
}
