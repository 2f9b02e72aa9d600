// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// Makes one request after the other to a server on a unix socket of this machine, over one connection.
///
/// For the command line, where loading libcurl would take longer than most answers do. It speaks HTTP/1.1
/// with bodies of a known length, which is what a control socket needs. `perform` blocks; a session belongs
/// to one thread at a time.
public final class SocketSession {
    /// Bytes of status line and headers that an answer may have.
    private static let headLimitBytes = 1 << 16
    /// Bytes that are kept of the body of an error whose request asked for a stream.
    private static let errorLimitBytes = 1 << 20

    private let path: String
    private var connection: OwnedFD?
    /// Received and not yet used.
    private var received: [UInt8] = []

    /// Connects with the first request.
    /// - Parameter path: of the socket.
    public init(path: String) {
        self.path = path
    }

    /// Sends the request and waits for the whole response; timeouts and the socket that it names are not
    /// looked at.
    ///
    /// Errors: `.cannotConnect`, `.cutShort`, `.bodyTooLong`, `.stopped`, `.failed`.
    /// - Parameter onBody: takes the body of a successful response piece by piece and not kept; false
    ///   stops the transfer with `.stopped`. The body of an error response is kept, for its message.
    public func perform(
        _ request: Request, onBody: ((UnsafeRawBufferPointer) -> Bool)? = nil
    ) throws(HTTPError) -> Response {
        do throws(HTTPError) {
            try connect()
            try send(Self.encode(request))
            let head = try readHead()
            let limit = onBody == nil ? request.responseLimitBytes : Self.errorLimitBytes
            let sink = head.isSuccess ? onBody : nil
            let body = try readBody(of: head, isEmpty: request.method == "HEAD", limit, sink)
            if head.header("connection")?.lowercased() == "close" { close() }
            return Response(status: head.status, headers: head.headers, body: body)
        } catch {
            close()
            throw error
        }
    }

    private func close() {
        connection = nil
        received = []
    }

    // MARK: The connection

    private func connect() throws(HTTPError) {
        // A connection that the server has closed meanwhile, by its end for one, is readable.
        if let descriptor = connection?.raw {
            var state = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            if received.isEmpty, retrying({ poll(&state, 1, 0) }) == 0 { return }
            close()
        }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let name = Array(path.utf8)
        guard name.count < MemoryLayout.size(ofValue: address.sun_path) else {
            throw .cannotConnect(path, reason: "too long for a socket")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        if raw < 0 { throw failure("socket") }
        let descriptor = OwnedFD(taking: raw)
        let result = retrying {
            withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.connect(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
                }
            }
        }
        if result < 0 { throw .cannotConnect(path, reason: SystemError.last("connect", path).reason) }
        connection = consume descriptor
    }

    private func send(_ bytes: [UInt8]) throws(HTTPError) {
        guard let descriptor = connection?.raw else { throw .cutShort(path) }
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes { part in
                retrying { Glibc.send(descriptor, part.baseAddress, part.count, Int32(MSG_NOSIGNAL)) }
            }
            if count < 0 { throw failure("send") }
            done += count
        }
    }

    /// More bytes to `received`; false at the end of the connection.
    private func receive() throws(HTTPError) -> Bool {
        guard let descriptor = connection?.raw else { throw .cutShort(path) }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        let count = retrying { recv(descriptor, &buffer, buffer.count, 0) }
        if count < 0 { throw failure("recv") }
        received += buffer[..<count]
        return count > 0
    }

    private func failure(_ call: String) -> HTTPError {
        let error = SystemError.last(call, path)
        let isBroken = error.code == EPIPE || error.code == ECONNRESET
        return isBroken ? .cutShort(path) : .failed(path, reason: error.reason)
    }

    // MARK: Messages

    private static func encode(_ request: Request) -> [UInt8] {
        // Behind the host, which a socket has not.
        let rest =
            request.url.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: false).last ?? ""
        let target = rest.firstIndex(of: "/").map { rest[$0...] } ?? "/"
        var text = "\(request.method) \(target) HTTP/1.1\r\nHost: \(rest.prefix { $0 != "/" })\r\n"
        for (name, value) in request.headers { text += "\(name): \(value)\r\n" }
        if request.body != nil || ["POST", "PUT", "PATCH"].contains(request.method) {
            text += "Content-Length: \(request.body?.count ?? 0)\r\n"
        }
        return Array((text + "\r\n").utf8) + (request.body ?? [])
    }

    private func readHead() throws(HTTPError) -> ResponseHead {
        while true {
            let text = try readHeadText()
            guard let head = ResponseHead(text, path: path) else {
                throw .failed(path, reason: "what answers there does not speak http")
            }
            // Between: 100 and the like.
            if head.status >= 200 { return head }
        }
    }

    private func readHeadText() throws(HTTPError) -> String {
        let end = Array("\r\n\r\n".utf8)
        var searched = 0
        while true {
            var index = max(0, searched - 3)
            while index + 4 <= received.count {
                if received[index] == end[0], Array(received[index..<index + 4]) == end {
                    let text = String(decoding: received[..<index], as: UTF8.self)
                    received.removeFirst(index + 4)
                    return text
                }
                index += 1
            }
            searched = received.count
            if searched > Self.headLimitBytes { throw .failed(path, reason: "its headers have no end") }
            if try !receive() { throw .cutShort(path) }
        }
    }

    /// The body, or nothing when the sink has it.
    private func readBody(
        of head: ResponseHead, isEmpty: Bool, _ limit: Int, _ sink: ((UnsafeRawBufferPointer) -> Bool)?
    ) throws(HTTPError) -> [UInt8] {
        if isEmpty || head.status == 204 || head.status == 304 { return [] }
        guard head.header("transfer-encoding") == nil, let text = head.header("content-length"),
            let length = Int(text), length >= 0
        else { throw .failed(path, reason: "its answer does not tell its length") }
        if sink == nil, length > limit { throw .bodyTooLong(path, limitBytes: limit) }
        var body: [UInt8] = []
        var left = length
        while left > 0 {
            if received.isEmpty, try !receive() { throw .cutShort(path) }
            let piece = received.prefix(left)
            left -= piece.count
            if let sink {
                if !piece.withUnsafeBytes(sink) { throw .stopped(path) }
            } else {
                body += piece
            }
            received.removeFirst(piece.count)
        }
        return body
    }
}

extension ResponseHead {
    /// Takes the status line and the headers apart, without the empty line at their end; nil if they are none.
    fileprivate init?(_ text: String, path: String) {
        // A line break is one character to Swift.
        let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
        let words = (lines.first ?? "").split(separator: " ", maxSplits: 2)
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), words[1].utf8.count == 3,
            let status = Int(words[1]), status >= 100
        else { return nil }
        var headers: [(name: String, value: String)] = []
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { return nil }
            let value = line[line.index(after: colon)...].drop { $0 == " " || $0 == "\t" }
            let end = value.lastIndex { $0 != " " && $0 != "\t" }.map { value.index(after: $0) }
            headers.append((line[..<colon].lowercased(), String(value[..<(end ?? value.startIndex)])))
        }
        self.init(status: status, headers: headers, effectiveURL: path)
    }
}
