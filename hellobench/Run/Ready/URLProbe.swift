// SPDX-License-Identifier: Apache-2.0

import Glibc

/// One question to a web server on this network namespace's loopback interface.
struct URLProbe: Sendable {
    let port: UInt16
    let path: String
    /// What the body of the answer must contain.
    let body: String?

    /// A server that takes longer than this for its hello is asked again.
    private static let patienceSeconds = 2
    private static let longestAnswer = 4 << 20

    /// Whether the right answer comes now.
    func succeeds() -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: Self.patienceSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        guard let endpoint = Endpoint("127.0.0.1:\(port)"),
            let result = try? endpoint.withAddress({ connect(descriptor, $0, $1) }), result == 0
        else { return false }
        // HTTP/1.0 has the server end the answer by closing.
        let request = Array("GET \(path) HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
        guard send(descriptor, request, request.count, Int32(MSG_NOSIGNAL)) == request.count else {
            return false
        }
        return Self.isRight(Self.answer(descriptor), body: body)
    }

    private static func answer(_ descriptor: Int32) -> [UInt8] {
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while answer.count < longestAnswer {
            let count = recv(descriptor, &buffer, buffer.count, 0)
            if count <= 0 { break }
            answer.append(contentsOf: buffer[..<count])
        }
        return answer
    }

    /// - Parameter answer: head and body, as they came.
    static func isRight(_ answer: [UInt8], body: String?) -> Bool {
        let text = String(decoding: answer, as: UTF8.self)
        let words = text.prefix { $0 != "\r\n" && $0 != "\n" }.split(separator: " ")
        guard words.count >= 2, words[0].hasPrefix("HTTP/"), let status = Int(words[1]),
            (200..<400).contains(status)
        else { return false }
        guard let body else { return true }
        let head = text.firstRange(of: "\r\n\r\n") ?? text.firstRange(of: "\n\n")
        return head.map { text[$0.upperBound...].contains(body) } ?? false
    }
}
