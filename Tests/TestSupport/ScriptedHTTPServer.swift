// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// An HTTP/1.1 server on a loopback port whose answers a closure gives: for servers that misbehave.
///
/// Each connection has a thread of its own and stays open while the answers allow it.
public final class ScriptedHTTPServer: Sendable {
    public struct Request: Sendable {
        public let method: String
        /// Path and query as they came.
        public let target: String
        /// Names in lower case.
        public let headers: [String: String]
        public let body: [UInt8]

        public var path: String { String(target.prefix { $0 != "?" }) }

        /// The values of a parameter of the query, as they came, without decoding.
        public func query(_ name: String) -> [String] {
            target.drop { $0 != "?" }.dropFirst().split(separator: "&").compactMap { pair in
                pair.hasPrefix(name + "=") ? String(pair.dropFirst(name.count + 1)) : nil
            }
        }
    }

    public struct Answer: Sendable {
        public var status: Int
        public var headers: [(name: String, value: String)]
        public var body: [UInt8]
        /// What Content-Length says; the body's length when nil.
        public var announcedBytes: Int?
        /// Sent so many bytes of the body, the connection is broken off with a reset.
        public var resetAfterBytes: Int?
        /// Waits so long before it answers.
        public var delayMs: Int
        /// Sent the body, it keeps the connection for so long and sends nothing more.
        public var stallSeconds = 0

        public init(
            _ status: Int, headers: [(name: String, value: String)] = [], body: [UInt8] = [],
            announcedBytes: Int? = nil, resetAfterBytes: Int? = nil, delayMs: Int = 0
        ) {
            self.status = status
            self.headers = headers
            self.body = body
            self.announcedBytes = announcedBytes
            self.resetAfterBytes = resetAfterBytes
            self.delayMs = delayMs
        }

        public init(_ status: Int, headers: [(name: String, value: String)] = [], text: String) {
            self.init(status, headers: headers, body: Array(text.utf8))
        }
    }

    /// Answers a request; nil closes the connection without an answer.
    public typealias Handler = @Sendable (Request) -> Answer?

    private let listener: LoopbackListener
    private let seen: Lock<[Request]>
    private let connections: Lock<Set<Int32>>

    public var port: UInt16 { listener.port }
    public var host: String { "127.0.0.1:\(port)" }
    /// All requests so far, in order of arrival.
    public var requests: [Request] { seen.withLock { $0 } }

    public init(_ handler: @escaping Handler) throws {
        listener = try LoopbackListener()
        (seen, connections) = (Lock([]), Lock([]))
        let (descriptor, seen, connections) = (listener.descriptor, seen, connections)
        // Holds the descriptor, not the listener: `deinit` wakes the thread by shutting the socket down.
        _ = try NamedThread("test-accept", detached: true) {
            while true {
                let raw = retrying { accept(descriptor, nil, nil) }
                if raw < 0 { return }
                connections.withLock { _ = $0.insert(raw) }
                _ = try? NamedThread("test-connection", detached: true) {
                    Connection(raw).serve(handler, seen)
                    connections.withLock { open in
                        open.remove(raw)
                        close(raw)
                    }
                }
            }
        }
    }

    deinit {
        shutdown(listener.descriptor, Int32(SHUT_RDWR))
        connections.withLock { open in open.forEach { shutdown($0, Int32(SHUT_RDWR)) } }
    }

    private final class Connection {
        private let raw: Int32
        private var pending: [UInt8] = []

        init(_ raw: Int32) {
            self.raw = raw
        }

        func serve(_ handler: Handler, _ seen: Lock<[Request]>) {
            while let request = next() {
                seen.withLock { $0.append(request) }
                guard let answer = handler(request), send(answer, isHead: request.method == "HEAD") else {
                    return
                }
            }
        }

        private func fill() -> Bool {
            var buffer = [UInt8](repeating: 0, count: 65536)
            let count = retrying { recv(raw, &buffer, buffer.count, 0) }
            if count > 0 { pending += buffer[..<count] }
            return count > 0
        }

        private func line() -> String? {
            while true {
                if let end = pending.firstIndex(of: 0x0A) {
                    let text = String(decoding: pending[..<end].filter { $0 != 0x0D }, as: UTF8.self)
                    pending.removeFirst(end + 1)
                    return text
                }
                if !fill() { return nil }
            }
        }

        private func take(_ count: Int) -> [UInt8]? {
            while pending.count < count { if !fill() { return nil } }
            defer { pending.removeFirst(count) }
            return Array(pending[..<count])
        }

        private func next() -> Request? {
            guard let first = line() else { return nil }
            let words = first.split(separator: " ")
            guard words.count == 3 else { return nil }
            var headers: [String: String] = [:]
            while let text = line(), !text.isEmpty {
                guard let colon = text.firstIndex(of: ":") else { return nil }
                let value = text[text.index(after: colon)...].drop { $0 == " " }
                headers[text[..<colon].lowercased()] = String(value)
            }
            var body: [UInt8] = []
            if headers["transfer-encoding"]?.lowercased() == "chunked" {
                while let size = line().flatMap({ Int($0, radix: 16) }) {
                    guard let part = take(size), line() != nil else { return nil }
                    if size == 0 { break }
                    body += part
                }
            } else {
                guard let bytes = take(headers["content-length"].flatMap { Int($0) } ?? 0) else { return nil }
                body = bytes
            }
            return Request(
                method: String(words[0]), target: String(words[1]), headers: headers, body: body)
        }

        /// False when the connection is of no use any more.
        private func send(_ answer: Answer, isHead: Bool) -> Bool {
            if answer.delayMs > 0 { usleep(UInt32(answer.delayMs) * 1000) }
            var head = "HTTP/1.1 \(answer.status) Status\r\n"
            for (name, value) in answer.headers { head += "\(name): \(value)\r\n" }
            let length = answer.announcedBytes ?? answer.body.count
            if answer.status != 204 { head += "Content-Length: \(length)\r\n" }
            let body = isHead ? [] : answer.body[..<min(answer.resetAfterBytes ?? .max, answer.body.count)]
            if !write(Array((head + "\r\n").utf8) + body) { return false }
            if answer.stallSeconds > 0 { sleep(UInt32(answer.stallSeconds)) }
            if answer.resetAfterBytes != nil {
                var option = linger(l_onoff: 1, l_linger: 0)
                // What was sent must be read before the reset overtakes it.
                usleep(100_000)
                setsockopt(raw, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
                return false
            }
            return isHead || length == answer.body.count
        }

        private func write(_ bytes: [UInt8]) -> Bool {
            var done = 0
            while done < bytes.count {
                let count = bytes.withUnsafeBytes { all in
                    let rest = UnsafeRawBufferPointer(rebasing: all[done...])
                    return retrying { Glibc.send(raw, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL)) }
                }
                if count <= 0 { return false }
                done += count
            }
            return true
        }
    }
}
