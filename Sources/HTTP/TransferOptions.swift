// SPDX-License-Identifier: Apache-2.0

public import Base

/// What a transfer is for: transfers of one group share a bandwidth cap, and urgent ones start first.
public struct TransferGroup: Hashable, Sendable {
    public let rawValue: UInt8

    private init(_ rawValue: UInt8) { self.rawValue = rawValue }

    /// A program waits for these bytes.
    public static let demand = TransferGroup(0)
    /// Manifests, tokens, questions: small, and somebody waits.
    public static let control = TransferGroup(1)
    public static let readAhead = TransferGroup(2)
    /// The stream of what a start will need.
    public static let boot = TransferGroup(3)
    public static let upload = TransferGroup(4)
    /// Whatever has all the time in the world.
    public static let background = TransferGroup(5)

    /// All groups, the most urgent first.
    static let all: [TransferGroup] = [.demand, .control, .readAhead, .boot, .upload, .background]

    /// Small answers that never wait for their reader: these may share one connection.
    ///
    /// A stream that pauses would hold up its neighbours, so all others get connections of their own.
    var sharesConnections: Bool { self == .demand || self == .control || self == .readAhead }

    /// Somebody waits for it at this moment.
    var isUrgent: Bool { self == .demand || self == .control }
}

/// How a secure connection is made.
public struct TLSOptions: Hashable, Sendable {
    /// Files with certificates (PEM) that are trusted in addition to the system's.
    public var certificateAuthorities: [String]
    /// File with the certificate (PEM) to show to the server.
    public var clientCertificate: String?
    /// File with its key (PEM); nil when it is in the same file.
    public var clientKey: String?
    /// Believes any server.
    ///
    /// Nobody is safe then who does not check what arrives by its digest.
    public var skipVerify: Bool

    public init(
        certificateAuthorities: [String] = [], clientCertificate: String? = nil, clientKey: String? = nil,
        skipVerify: Bool = false
    ) {
        self.certificateAuthorities = certificateAuthorities
        self.clientCertificate = clientCertificate
        self.clientKey = clientKey
        self.skipVerify = skipVerify
    }
}

/// What a transfer sends: can be read again from its beginning when a redirect asks for it.
public enum UploadBody: Sendable {
    case bytes([UInt8])
    /// A part of a file, read as it is sent; it must not change meanwhile.
    case file(File, offset: UInt64, count: UInt64)

    public var count: UInt64 {
        switch self {
        case .bytes(let bytes): UInt64(bytes.count)
        case .file(_, _, let count): count
        }
    }
}

/// How a request travels.
public struct TransferOptions: Sendable {
    public var group: TransferGroup
    /// Asks for these bytes only; the server may ignore that, and says so by its status.
    public var range: Range<UInt64>?
    public var tls: TLSOptions
    /// Redirects that are followed at most; with 0 a redirect is the response.
    ///
    /// Headers named Authorization or Cookie never go to another host, and https never becomes http.
    public var redirects: Int
    /// Milliseconds without a byte in either direction, counted from when the connection stands and not
    /// while the receiver or a cap pauses the transfer; 0 for no limit.
    public var stallTimeoutMs: Int
    /// Sent as the body, in place of `Request.body`.
    public var upload: UploadBody?
    /// Hears, on the loop's thread, how many bytes of the upload have been handed to the connection.
    public var uploadProgress: (@Sendable (UInt64) -> Void)?
    /// `http://`, `https://` or `socks5h://` address; nil for the loop's own, "" for none.
    public var proxy: String?

    public init(
        group: TransferGroup = .control, range: Range<UInt64>? = nil, tls: TLSOptions = .init(),
        redirects: Int = 5, stallTimeoutMs: Int = 30_000, upload: UploadBody? = nil,
        uploadProgress: (@Sendable (UInt64) -> Void)? = nil, proxy: String? = nil
    ) {
        precondition(redirects >= 0 && stallTimeoutMs >= 0)
        precondition(range.map { !$0.isEmpty } ?? true, "an empty range cannot be asked for")
        self.group = group
        self.range = range
        self.tls = tls
        self.redirects = redirects
        self.stallTimeoutMs = stallTimeoutMs
        self.upload = upload
        self.uploadProgress = uploadProgress
        self.proxy = proxy
    }
}

/// Names one transfer of one loop.
public struct TransferID: Hashable, Sendable {
    let rawValue: UInt64
}
