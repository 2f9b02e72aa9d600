// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Servers on the loopback interface of the calling thread's network namespace.
enum Loopback {
    /// A server that takes longer than this is to be asked again.
    private static let patienceSeconds = 2

    /// Sends bytes to a port and reads what comes back, until there is enough or no more comes.
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
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while answer.count < count {
            let received = recv(descriptor, &buffer, buffer.count, 0)
            if received <= 0 { break }
            answer.append(contentsOf: buffer[..<received])
        }
        return answer
    }
}
