// SPDX-License-Identifier: Apache-2.0

import CCurl

/// What one transfer has received so far; libcurl's callbacks fill it on the thread that performs the
/// request.
struct Transfer {
    /// The status of the last header block: redirects and 100-continue bring more than one.
    private(set) var status = 0
    private(set) var headers: [(name: String, value: String)] = []
    private(set) var body: [UInt8] = []
    private(set) var isTooLong = false
    let limitBytes: Int
    /// Takes bodies of successful responses; false stops the transfer.
    var sink: ((UnsafeRawBufferPointer) -> Bool)?

    init(limitBytes: Int) {
        self.limitBytes = limitBytes
    }

    private mutating func take(header line: String) {
        if line.hasPrefix("HTTP/") {
            headers = []
            body = []
            status = line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
            return
        }
        guard let colon = line.firstIndex(of: ":") else { return }
        let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
        headers.append((line[..<colon].lowercased(), String(value)))
    }

    private mutating func take(body bytes: UnsafeRawBufferPointer) -> Bool {
        if let sink, 200..<300 ~= status { return sink(bytes) }
        if body.count + bytes.count > limitBytes {
            isTooLong = true
            return false
        }
        body.append(contentsOf: bytes)
        return true
    }

    static let takeHeader: slk_curl_write = { bytes, size, count, context in
        guard let bytes, let context else { return 0 }
        let raw = UnsafeRawBufferPointer(start: bytes, count: size * count)
        let line = raw.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
        context.assumingMemoryBound(to: Transfer.self).pointee.take(
            header: String(decoding: line, as: UTF8.self))
        return size * count
    }

    /// A count other than the one given tells libcurl to stop with CURLE_WRITE_ERROR.
    static let takeBody: slk_curl_write = { bytes, size, count, context in
        guard let bytes, let context else { return 0 }
        let raw = UnsafeRawBufferPointer(start: bytes, count: size * count)
        let more = context.assumingMemoryBound(to: Transfer.self).pointee.take(body: raw)
        return more ? size * count : 0
    }
}
