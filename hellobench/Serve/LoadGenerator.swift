// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A program that keeps a server busy, and how the operations are counted that it got done.
enum LoadGenerator: Sendable {
    case pgbench, redisBenchmark
    /// At that port.
    case wrk(port: UInt16)

    /// The workloads that can be served for long.
    static func of(_ workload: Workload) -> LoadGenerator? {
        switch workload.name {
        case "postgres": .pgbench
        case "redis": .redisBenchmark
        case "nginx", "httpd", "node", "iojs": .wrk(port: 80)
        default: nil
        }
    }

    static let defaults = ["postgres", "redis", "nginx", "node"]
    static let all = defaults + ["httpd", "iojs"]

    var tool: (program: String, package: String) {
        switch self {
        case .pgbench: ("pgbench", "postgresql-15")
        case .redisBenchmark: ("redis-benchmark", "redis-tools")
        case .wrk: ("wrk", "wrk")
        }
    }

    var unit: String {
        switch self {
        case .pgbench: "transactions"
        case .redisBenchmark, .wrk: "requests"
        }
    }

    var question: ServerQuestion {
        switch self {
        case .pgbench: .postgres
        case .redisBenchmark: .redis
        case .wrk(let port): .http(port: port)
        }
    }

    /// What a server needs before it can be kept busy: it counts as time in which nothing is served.
    var preparation: [[String]] {
        switch self {
        case .pgbench: [Self.pgbenchWords + ["--initialize", "--quiet", "--scale", "10", "postgres"]]
        case .redisBenchmark, .wrk: []
        }
    }

    /// - Parameter seconds: how long it works, where it can be told.
    func command(seconds: Int) -> [String] {
        switch self {
        case .pgbench:
            Self.pgbenchWords + ["--client", "8", "--jobs", "2", "--time", String(seconds), "postgres"]
        case .redisBenchmark:
            // Without an end of its own: it is ended when time is up.
            ["redis-benchmark", "-c", "16", "-n", "2000000000", "-r", "100000", "-d", "100", "-t", "set"]
        case .wrk(let port):
            [
                "wrk", "--threads", "1", "--connections", "16", "--duration", "\(seconds)s",
                "http://127.0.0.1:\(port)/",
            ]
        }
    }

    private static let pgbenchWords = [
        "env", "PGPASSWORD=abc", "pgbench", "--host", "127.0.0.1", "--port", "5432", "--username", "postgres",
    ]

    /// Whether it ends by itself.
    var ends: Bool {
        if case .redisBenchmark = self { false } else { true }
    }

    /// How many operations the server has done, where it can be asked: nil where the generator says it.
    func countAtServer() -> Double? {
        guard case .redisBenchmark = self else { return nil }
        let info = Loopback.ask(port: 6379, Array("INFO stats\r\nQUIT\r\n".utf8), atLeast: 1 << 14)
        let text = String(decoding: info ?? [], as: UTF8.self)
        return Self.number(before: "", after: "total_commands_processed:", in: text)
    }

    /// How many operations the generator says it got done.
    /// - Throws: when it says nothing of the kind, or that some failed.
    func count(in output: String) throws(BenchError) -> Double {
        let found: Double?
        switch self {
        case .pgbench:
            found = Self.number(before: "", after: "number of transactions actually processed: ", in: output)
            let failed = Self.number(before: "", after: "number of failed transactions: ", in: output)
            if let failed, failed > 0 { throw .answer("pgbench: \(Int(failed)) transactions failed") }
        case .wrk:
            found = Self.number(before: " requests in ", after: "", in: output)
            if let bad = Self.number(before: "", after: "Non-2xx or 3xx responses: ", in: output), bad > 0 {
                throw .answer("wrk: \(Int(bad)) answers were errors")
            }
        case .redisBenchmark: found = nil
        }
        guard let found else {
            let tail = output.split(whereSeparator: \.isNewline).suffix(3).joined(separator: "; ")
            throw .answer("\(tool.program): says no count: \(tail)")
        }
        return found
    }

    /// The number between two texts of a line, the first of which may be empty; the second, too.
    private static func number(before end: String, after begin: String, in text: String) -> Double? {
        for line in text.split(whereSeparator: \.isNewline) {
            guard line.contains(begin), line.contains(end) else { continue }
            var rest = line
            if !begin.isEmpty, let range = line.firstRange(of: begin) { rest = line[range.upperBound...] }
            if !end.isEmpty, let range = rest.firstRange(of: end) { rest = rest[..<range.lowerBound] }
            let digits = rest.drop { $0 == " " }.prefix { $0.isNumber || $0 == "." }
            if let number = Double(digits) { return number }
        }
        return nil
    }
}
