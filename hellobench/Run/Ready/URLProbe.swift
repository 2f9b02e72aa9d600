// SPDX-License-Identifier: Apache-2.0

/// One question to a web server on this network namespace's loopback interface.
struct URLProbe: Sendable {
    let port: UInt16
    let path: String
    /// What the body of the answer must contain.
    let body: String?

    private static let longestAnswer = 4 << 20

    /// Whether the right answer comes now.
    func succeeds() -> Bool {
        // HTTP/1.0 has the server end the answer by closing.
        let request = Array("GET \(path) HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n".utf8)
        guard let answer = Loopback.ask(port: port, request, atLeast: Self.longestAnswer) else {
            return false
        }
        return Self.isRight(answer, body: body)
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
