// SPDX-License-Identifier: Apache-2.0

import Glibc

/// HTTP/1.1 over a unix socket on one connection that stays open: the least that can be timed.
final class UnixHTTPClient {
    private let socketPath: String
    private var descriptor: Int32 = -1
    private var buffer: [UInt8] = []

    init(socketPath: String) {
        self.socketPath = socketPath
    }

    deinit { disconnect() }

    /// Sends a request and reads the whole answer; an answer that is no success is an error with its text.
    @discardableResult
    func send(_ method: String, _ path: String, json: String = "") throws(BenchError) -> String {
        if descriptor < 0 { try connect() }
        let head =
            "\(method) \(path) HTTP/1.1\r\nHost: slacker\r\nContent-Type: application/json\r\n"
            + "Content-Length: \(json.utf8.count)\r\n\r\n"
        try write(Array((head + json).utf8))
        let answer = try readAnswer()
        if answer.status / 100 != 2 {
            throw .answer("\(method) \(path): status \(answer.status): \(answer.body)")
        }
        return answer.body
    }

    private func connect() throws(BenchError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(socketPath.utf8)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        if path.count >= room { throw .answer("\(socketPath): a socket's path has less than \(room) bytes") }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        if descriptor < 0 { throw .last("socket", socketPath) }
        var limit = timeval(tv_sec: 60, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        let result = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if result < 0 {
            let error = BenchError.last("connect", socketPath)
            disconnect()
            throw error
        }
    }

    private func disconnect() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        buffer = []
    }

    private func write(_ bytes: [UInt8]) throws(BenchError) {
        let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, 0) }
        if count == bytes.count { return }
        let error = BenchError.last("send", socketPath)
        disconnect()
        throw error
    }

    private func readAnswer() throws(BenchError) -> (status: Int, body: String) {
        let head = String(decoding: try take(through: Array("\r\n\r\n".utf8)), as: UTF8.self)
        let lines = head.split(separator: "\r\n")
        let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { continue }
            fields[parts[0].lowercased()] = String(parts[1].drop { $0 == " " }).lowercased()
        }
        let body: [UInt8]
        if fields["transfer-encoding"] == "chunked" {
            body = try takeChunks()
        } else {
            body = try take(count: fields["content-length"].flatMap { Int($0) } ?? 0)
        }
        if fields["connection"] == "close" { disconnect() }
        return (status, String(decoding: body, as: UTF8.self))
    }

    private func takeChunks() throws(BenchError) -> [UInt8] {
        var body: [UInt8] = []
        while true {
            let line = String(decoding: try take(through: Array("\r\n".utf8)), as: UTF8.self)
            let digits = line.prefix { $0.isHexDigit }
            guard let count = Int(digits, radix: 16) else {
                throw .answer("\(socketPath): not a chunk: \(line)")
            }
            body += try take(count: count)
            _ = try take(count: 2)
            if count == 0 { return body }
        }
    }

    private func take(through end: [UInt8]) throws(BenchError) -> [UInt8] {
        var searched = 0
        while true {
            while searched + end.count <= buffer.count {
                if buffer[searched..<searched + end.count].elementsEqual(end) {
                    return try take(count: searched + end.count)
                }
                searched += 1
            }
            try fill()
        }
    }

    private func take(count: Int) throws(BenchError) -> [UInt8] {
        while buffer.count < count { try fill() }
        defer { buffer.removeFirst(count) }
        return Array(buffer[..<count])
    }

    private func fill() throws(BenchError) {
        var piece = [UInt8](repeating: 0, count: 1 << 16)
        let count = recv(descriptor, &piece, piece.count, 0)
        if count > 0 { return buffer.append(contentsOf: piece[..<count]) }
        let error: BenchError =
            count == 0
            ? .answer("\(socketPath): the daemon closed the connection") : .last("recv", socketPath)
        disconnect()
        throw error
    }
}
