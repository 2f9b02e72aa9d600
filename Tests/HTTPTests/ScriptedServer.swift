// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// Listens on a unix socket in a directory of its own, and answers each connection with the next script.
final class ScriptedServer: Sendable {
    let socketPath: String
    private let directory: String
    private let listener: Int32
    private let received = Monitor<[String]>([])

    /// - Parameter answers: raw bytes to send once the request has come; nil never answers.
    init(_ answers: [String?]) throws {
        directory = "/var/tmp/slacker-http-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        try Directories.create(directory)
        socketPath = directory + "/socket"
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        try Self.bind(listener, to: socketPath)
        let (listener, received) = (listener, received)
        _ = try NamedThread("scripted", detached: true) {
            var held: [Int32] = []
            for answer in answers {
                let connection = accept(listener, nil, nil)
                if connection < 0 { break }
                let request = Self.readRequest(connection)
                received.withLock { $0.append(request) }
                guard let answer else {
                    held.append(connection)
                    continue
                }
                let bytes = Array(answer.utf8)
                _ = bytes.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
                close(connection)
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
        try? Directories.removeTree(directory)
    }

    /// The requests so far, as they came over the wire.
    func requests(_ count: Int) -> [String] {
        received.wait(until: .now.advanced(bySeconds: 5)) { $0.count >= count ? $0 : nil } ?? []
    }

    private static func bind(_ listener: Int32, to path: String) throws {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if result < 0 || listen(listener, 16) < 0 { throw SystemError.last("bind", path) }
    }

    private static func readRequest(_ connection: Int32) -> String {
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            if let end = text.range(of: "\r\n\r\n") {
                let length = text.lowercased().split(separator: "\r\n")
                    .first { $0.hasPrefix("content-length:") }
                    .flatMap { Int($0.dropFirst(15).drop { $0 == " " }) }
                if text[end.upperBound...].utf8.count >= length ?? 0 { return text }
            }
            let count = recv(connection, &buffer, buffer.count, 0)
            if count <= 0 { return text }
            text += String(decoding: buffer[..<count], as: UTF8.self)
        }
    }
}

extension String {
    /// Where the text first occurs.
    fileprivate func range(of text: String) -> Range<String.Index>? {
        let all = Array(utf8)
        let part = Array(text.utf8)
        guard all.count >= part.count else { return nil }
        for start in 0...all.count - part.count where Array(all[start..<start + part.count]) == part {
            return utf8.index(
                startIndex, offsetBy: start)..<utf8.index(startIndex, offsetBy: start + part.count)
        }
        return nil
    }
}
