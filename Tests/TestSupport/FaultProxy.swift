// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// Stands before a real server and does to some of its answers what networks and bad servers do.
public final class FaultProxy: Sendable {
    public typealias Request = ScriptedHTTPServer.Request
    public typealias Answer = ScriptedHTTPServer.Answer

    public enum Fault: Sendable {
        /// The server is not asked; this is the answer.
        case answer(Int, headers: [(name: String, value: String)] = [], text: String = "")
        /// So many bytes of the body, then a reset.
        case reset(afterBytes: Int)
        /// The body ends early although its length was announced in full.
        case shorten(toBytes: Int)
        /// So many bytes of the body, then nothing for so long.
        case stall(afterBytes: Int, seconds: Int)
        /// One byte of the body is another one.
        case flip(atByte: Int)
        /// The server never hears of the range: 200 and the whole body.
        case ignoreRange
        /// The connection is closed without an answer.
        case hangUp
    }

    private struct Rule {
        let fault: Fault
        var times: Int
        let matches: @Sendable (Request) -> Bool
    }

    private let rules: Lock<[Rule]>
    private let server: ScriptedHTTPServer

    public var host: String { server.host }
    public var port: UInt16 { server.port }
    /// All requests so far, in order of arrival.
    public var requests: [Request] { server.requests }

    /// - Parameter upstream: the port of the real server on the loopback interface.
    public init(upstream: UInt16) throws {
        let rules = Lock<[Rule]>([])
        self.rules = rules
        server = try ScriptedHTTPServer { request in
            let fault = rules.withLock { rules -> Fault? in
                guard let index = rules.firstIndex(where: { $0.times > 0 && $0.matches(request) }) else {
                    return nil
                }
                rules[index].times -= 1
                return rules[index].fault
            }
            return Self.answer(request, fault, upstream: upstream)
        }
    }

    /// Applies a fault to the next `times` requests that match; the rule that was set first wins.
    public func inject(
        _ fault: Fault, times: Int = 1, where matches: @escaping @Sendable (Request) -> Bool = { _ in true }
    ) {
        rules.withLock { $0.append(Rule(fault: fault, times: times, matches: matches)) }
    }

    /// From now on everything passes unharmed.
    public func heal() {
        rules.withLock { $0 = [] }
    }

    /// Requests for parts of blobs, which is what fetching asks for.
    public static let isRange: @Sendable (Request) -> Bool = { request in
        request.method == "GET" && request.headers["range"] != nil
    }

    private static func answer(_ request: Request, _ fault: Fault?, upstream: UInt16) -> Answer? {
        if case .answer(let status, let headers, let text) = fault {
            return Answer(status, headers: headers, text: text)
        }
        if case .hangUp = fault { return nil }
        var ignored: Set<String> = ["connection"]
        if case .ignoreRange = fault { ignored.insert("range") }
        guard var answer = try? UpstreamExchange(port: upstream).perform(request, without: ignored) else {
            return nil
        }
        switch fault {
        case .reset(let count): answer.resetAfterBytes = min(count, answer.body.count)
        case .shorten(let count):
            answer.announcedBytes = answer.body.count
            answer.body = Array(answer.body.prefix(count))
        case .stall(let count, let seconds):
            answer.announcedBytes = answer.body.count
            answer.body = Array(answer.body.prefix(count))
            answer.stallSeconds = seconds
        case .flip(let place) where place < answer.body.count: answer.body[place] ^= 0x40
        default: break
        }
        return answer
    }
}

/// One request to the real server, on a connection of its own.
private final class UpstreamExchange {
    private let raw: Int32

    init(port: UInt16) throws {
        raw = socket(AF_INET, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        if raw < 0 { throw SystemError.last("socket", "127.0.0.1") }
        var address = loopback(port)
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(raw, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        if connected < 0 {
            let error = SystemError.last("connect", "127.0.0.1:\(port)")
            close(raw)
            throw error
        }
    }

    deinit { close(raw) }

    func perform(_ request: FaultProxy.Request, without ignored: Set<String>) throws -> FaultProxy.Answer {
        var head = "\(request.method) \(request.target) HTTP/1.1\r\nConnection: close\r\n"
        for (name, value) in request.headers
        where !ignored.contains(name) && name != "transfer-encoding" && name != "content-length" {
            head += "\(name): \(value)\r\n"
        }
        if !request.body.isEmpty || ["PUT", "POST", "PATCH"].contains(request.method) {
            head += "Content-Length: \(request.body.count)\r\n"
        }
        try send(Array((head + "\r\n").utf8) + request.body)
        return try parse(try receive(), isHead: request.method == "HEAD")
    }

    private func send(_ bytes: [UInt8]) throws {
        var done = 0
        while done < bytes.count {
            let count = bytes.withUnsafeBytes { all in
                let rest = UnsafeRawBufferPointer(rebasing: all[done...])
                return retrying { Glibc.send(raw, rest.baseAddress, rest.count, Int32(MSG_NOSIGNAL)) }
            }
            if count <= 0 { throw SystemError.last("send", "upstream") }
            done += count
        }
    }

    private func receive() throws -> [UInt8] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1 << 18)
        while true {
            let count = retrying { recv(raw, &buffer, buffer.count, 0) }
            if count < 0 { throw SystemError.last("recv", "upstream") }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
        }
    }

    private func parse(_ bytes: [UInt8], isHead: Bool) throws -> FaultProxy.Answer {
        let end = bytes.indices.first { bytes[$0...].starts(with: [13, 10, 13, 10]) }
        guard let end else { throw SystemError(EPROTO, "recv", "upstream") }
        let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
        let status = lines[0].split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 502
        var answer = FaultProxy.Answer(status)
        var body = Array(bytes[(end + 4)...])
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = String(line[line.index(after: colon)...].drop { $0 == " " })
            switch line[..<colon].lowercased() {
            case "content-length": if isHead { answer.announcedBytes = Int(value) }
            case "transfer-encoding": body = Self.joined(body)
            case "connection": break
            default: answer.headers.append((String(line[..<colon]), value))
            }
        }
        answer.body = body
        return answer
    }

    /// The parts of a chunked body as one.
    private static func joined(_ chunked: [UInt8]) -> [UInt8] {
        var body: [UInt8] = []
        var rest = chunked[...]
        while let end = rest.firstIndex(of: 13),
            let size = Int(String(decoding: rest[rest.startIndex..<end], as: UTF8.self), radix: 16), size > 0,
            rest.endIndex - end >= size + 4
        {
            body += rest[(end + 2)..<(end + 2 + size)]
            rest = rest[(end + size + 4)...]
        }
        return body
    }
}
