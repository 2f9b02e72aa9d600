// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import hellobench

@Suite struct ServeTests {
    private static func curve(_ points: [(Double, UInt64)]) -> LoadCurve {
        points.reduce(into: LoadCurve()) { $0.add(seconds: $1.0, bytes: $1.1) }
    }

    @Test func secondsShareTheOperationsByTheirBytes() {
        let curve = Self.curve([(1.5, 1000), (2, 2000), (3, 2000), (4, 5000)])
        #expect(curve.perSecond(operations: 400, seconds: 5) == [0, 100, 0, 300, 0])
    }

    @Test func aPointBetweenSecondsIsDivided() {
        let curve = Self.curve([(0.5, 0), (2.5, 400)])
        #expect(curve.perSecond(operations: 8, seconds: 3) == [2, 4, 2])
    }

    @Test func whatComesAfterTheEndIsNotCounted() {
        let curve = Self.curve([(0, 0), (1, 10), (2, 20), (3, 30)])
        #expect(curve.perSecond(operations: 3, seconds: 2) == [1, 1])
    }

    @Test func withoutTrafficThereIsNothing() {
        #expect(LoadCurve().perSecond(operations: 3, seconds: 2) == [0, 0])
        #expect(Self.curve([(0, 7), (1, 7)]).perSecond(operations: 3, seconds: 1) == [0])
    }

    @Test func countsAreRead() throws {
        let wrk = """
            Running 5s test @ http://127.0.0.1:80/
              1 threads and 16 connections
              Thread Stats   Avg      Stdev     Max   +/- Stdev
                Latency   241.61us  100.01us   5.01ms   91.00%
              81234 requests in 5.00s, 60.01MB read
            Requests/sec:  16246.80
            """
        #expect(try LoadGenerator.wrk(port: 80).count(in: wrk) == 81234)
        let pgbench = """
            number of transactions actually processed: 12345
            number of failed transactions: 0 (0.000%)
            tps = 1234.5 (without initial connection time)
            """
        #expect(try LoadGenerator.pgbench.count(in: pgbench) == 12345)
        #expect(try LoadGenerator.pgbench.count(in: "number of transactions actually processed: 3/3\n") == 3)
    }

    @Test func failedOperationsAreAnError() {
        #expect(throws: BenchError.self) {
            try LoadGenerator.wrk(port: 80).count(in: "  9 requests in 1s\n  Non-2xx or 3xx responses: 9\n")
        }
        #expect(throws: BenchError.self) {
            try LoadGenerator.pgbench.count(
                in: "number of transactions actually processed: 3\nnumber of failed transactions: 1 (25%)\n")
        }
        #expect(throws: BenchError.self) { try LoadGenerator.pgbench.count(in: "pgbench: error: connection") }
    }

    @Test func countersOfTheLoopbackInterface() {
        let text = """
            Inter-|   Receive                                                |  Transmit
             face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets
                lo: 4242      38    0    0    0     0          0         0     4242      38    0
              eth0:99      1    0    0    0     0          0         0     1      1    0
            """
        #expect(LoopbackCounter.bytes(in: text) == 4242)
        #expect(LoopbackCounter.bytes(in: "") == 0)
    }

    @Test func whatFailedIsListedAndNotDrawn() {
        var results = Results()
        results.throughputs = [
            ThroughputRecord(
                benchmark: "redis", engine: "slacker", round: 1, startSeconds: 0, perSecond: [],
                error: "no way")
        ]
        let report = Report(results)
        #expect(report.figures.isEmpty)
        #expect(HTMLPage(report: report, title: "t").text.contains("no way"))
    }
}
