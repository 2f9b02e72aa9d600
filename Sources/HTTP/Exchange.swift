// SPDX-License-Identifier: Apache-2.0

import Base
import CCurl
import Glibc

/// One transfer of a loop, from its start until its receiver has heard the end.
///
/// Made by the thread that starts it; after that only the loop's thread touches it.
final class Exchange: @unchecked Sendable {
    // Unchecked because: see above; the hand-over goes through the loop's mailbox.
    var id = TransferID(rawValue: 0)
    let request: Request
    let options: TransferOptions
    let receiver: any TransferReceiver
    /// The address for messages.
    let name: String
    /// Scheme and host: what the limits on transfers are about.
    let hostKey: String
    /// Whether this transfer may share its connection with others.
    let sharesConnection: Bool
    let trusted: Result<[UInt8], CertificateFileError>?
    unowned let core: LoopCore
    let startedAt = MonotonicTime.now

    var handle: UnsafeMutableRawPointer?
    var isAdmitted = false
    /// libcurl knows of it.
    var isAdded = false
    /// What libcurl ended it with, while there are still bytes that the receiver has to take.
    var outcome: CURLcode?
    var isHeldByReceiver = false
    var isHeldByLimit = false
    var isConnected = false
    var lastActivity = MonotonicTime.now
    /// Why a callback has stopped the transfer, when it knows better than libcurl.
    var stopReason: HTTPError?

    var head = HeadBuilder()
    var began: ResponseHead?
    var firstByteMs = 0
    var bodyBytes: UInt64 = 0
    /// The connection is HTTP/2.
    var isMultiplexed = false
    /// libcurl holds back what comes until it is told to go on.
    var isPaused = false
    /// Bytes that arrived on a shared connection while the receiver was not ready: pausing there would
    /// hold up all transfers that share it.
    var held: [UInt8] = []
    var uploaded: UInt64 = 0
    var uploadSeen: Int64 = 0

    var lines: UnsafeMutablePointer<curl_slist>?
    let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))

    init(
        _ request: Request, _ options: TransferOptions, streams: Bool,
        trusted: Result<[UInt8], CertificateFileError>?, _ receiver: any TransferReceiver, _ core: LoopCore
    ) {
        self.request = request
        self.options = options
        self.receiver = receiver
        self.trusted = trusted
        self.core = core
        name = request.unixSocketPath ?? redactedURL(request.url)
        hostKey = request.unixSocketPath ?? Self.hostKey(of: request.url)
        sharesConnection =
            options.group.sharesConnections && !streams && options.upload == nil && request.body == nil
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit { errorText.deallocate() }

    private static func hostKey(of url: String) -> String {
        guard let scheme = url.firstRange(of: "://") else { return url }
        return String(
            url[..<scheme.upperBound] + url[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" })
    }

    /// The transfer that a handle of libcurl works on.
    static func of(_ handle: UnsafeMutableRawPointer, _ api: UnsafePointer<slk_curl>) -> Exchange? {
        var context: UnsafePointer<CChar>?
        slk_curl_get_string(api, handle, CURLINFO_PRIVATE, &context)
        return context.map { Unmanaged<Exchange>.fromOpaque(UnsafeRawPointer($0)).takeUnretainedValue() }
    }

    /// Ends a transfer that never entered the loop.
    func reject(_ error: HTTPError) {
        receiver.finish(.failure(error))
    }

    func releaseHandle() {
        core.api.pointee.slist_free_all(lines)
        lines = nil
        handle = nil
        isAdded = false
    }

    var isHolding: Bool { isHeldByReceiver || isHeldByLimit || !held.isEmpty }

    func isStalled(_ now: MonotonicTime) -> Bool {
        guard options.stallTimeoutMs > 0, isConnected, !isHolding, outcome == nil, let handle else {
            return false
        }
        // Bytes leave without a callback, out of the buffer that the last one has filled.
        var sent: curl_off_t = 0
        slk_curl_get_offset(core.api, handle, CURLINFO_SIZE_UPLOAD_T, &sent)
        if Int64(sent) != uploadSeen {
            uploadSeen = Int64(sent)
            lastActivity = now
        }
        return now.seconds(since: lastActivity) * 1000 > Double(options.stallTimeoutMs)
    }

    /// The time for everything has passed; libcurl counts only from when the transfer may run.
    func isOverdue(_ now: MonotonicTime) -> Bool {
        request.totalTimeoutMs > 0 && now.seconds(since: startedAt) * 1000 > Double(request.totalTimeoutMs)
    }

    func elapsedMs() -> Int { Int(MonotonicTime.now.seconds(since: startedAt) * 1000) }

    /// What the receiver is to hear when libcurl ended with this code.
    func result(_ code: CURLcode) -> Result<TransferSummary, HTTPError> {
        if code != CURLE_OK { return .failure(failure(code)) }
        if !begin() { return .failure(.stopped(name)) }
        guard let began else { return .failure(.cutShort(name)) }
        return .success(
            TransferSummary(head: began, bytes: bodyBytes, firstByteMs: firstByteMs, totalMs: elapsedMs()))
    }
}

/// Collects the lines of response heads; only the last head counts.
struct HeadBuilder {
    private(set) var status = 0
    private(set) var headers: [(name: String, value: String)] = []
    /// Bounds what a server can make us keep.
    private var byteCount = 0
    private static let maximumBytes = 256 << 10

    /// False when the head grows beyond all reason.
    mutating func take(_ bytes: UnsafeRawBufferPointer) -> Bool {
        let line = String(
            decoding: bytes.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        byteCount += bytes.count
        if byteCount > Self.maximumBytes { return false }
        if line.hasPrefix("HTTP/") {
            headers = []
            byteCount = 0
            status = line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        } else if let colon = line.firstIndex(of: ":") {
            var value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            while value.last == " " || value.last == "\t" { value.removeLast() }
            headers.append((line[..<colon].lowercased(), String(value)))
        }
        return true
    }
}
