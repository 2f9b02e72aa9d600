// SPDX-License-Identifier: Apache-2.0

/// The smallest question that a server answers only when it can serve.
struct ServerQuestion: Sendable {
    let port: UInt16
    let question: [UInt8]
    /// What the answer begins with.
    let answer: [UInt8]

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
        Loopback.ask(port: port, question, atLeast: answer.count)?.starts(with: answer) ?? false
    }
}
