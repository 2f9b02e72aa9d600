// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The smallest question that a server answers only when it can serve.
struct ServerQuestion: Sendable {
    let port: UInt16
    let question: [UInt8]
    /// What the answer begins with.
    let answer: [UInt8]

    /// A server that takes longer than this is asked again.
    private static let patienceSeconds = 2

    static func http(port: UInt16) -> ServerQuestion {
        let request = "GET / HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        return ServerQuestion(port: port, question: Array(request.utf8), answer: Array("HTTP/1.1 200".utf8))
    }

    static let redis = ServerQuestion(
        port: 6379, question: Array("PING\r\n".utf8), answer: Array("+PONG".utf8))

    /// The begin of a session: `R` asks for a password or for none; `E` comes while the server still starts.
    static let postgres: ServerQuestion = {
        let words = Array("user\0postgres\0database\0postgres\0\0".utf8)
        let length = UInt8(8 + words.count)
        return ServerQuestion(
            port: 5432, question: [0, 0, 0, length, 0, 3, 0, 0] + words, answer: [UInt8(ascii: "R")])
    }()

    /// Whether the right answer comes now, from the calling thread's network namespace.
    var isAnswered: Bool {
        Self.ask(port: port, question, atLeast: answer.count)?.starts(with: answer) ?? false
    }

    /// Sends bytes to a port of the loopback interface and reads what comes back, until there is enough.
    /// - Returns: nil when there is nobody at that port.
    static func ask(port: UInt16, _ question: [UInt8], atLeast count: Int) -> [UInt8]? {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var limit = timeval(tv_sec: patienceSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, size)
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, size)
        guard let endpoint = Endpoint("127.0.0.1:\(port)"),
            let result = try? endpoint.withAddress({ connect(descriptor, $0, $1) }), result == 0,
            send(descriptor, question, question.count, Int32(MSG_NOSIGNAL)) == question.count
        else { return nil }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 14)
        while answer.count < count {
            let received = recv(descriptor, &buffer, buffer.count, 0)
            if received <= 0 { break }
            answer.append(contentsOf: buffer[..<received])
        }
        return answer
    }
}
