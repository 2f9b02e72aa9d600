// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import TestSupport
import Testing

/// Servers that answer what they should not: the container waits and reads what was pushed.
@Suite("Fetching from servers that misbehave", .timeLimit(.minutes(3)))
struct FetchFaultAnswerTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let faults: [FaultProxy.Fault]
        var times = 1
        var settings: [String] = []
        /// A word of the reason that `slacker status` gives; nil where it needs none.
        var word: String?
    }

    /// Harm that passes.
    static let passing = [
        Case(
            testDescription: "401 in the middle",
            faults: [.answer(401, headers: [("WWW-Authenticate", "Basic realm=\"test\"")])], word: nil),
        Case(
            testDescription: "429 and 503 that say when",
            faults: [
                .answer(429, headers: [("Retry-After", "1")]), .answer(503, headers: [("Retry-After", "1")]),
            ], word: "50"),
        Case(testDescription: "500", faults: [.answer(500)], times: 3, word: "500"),
        Case(testDescription: "resets in a range", faults: [.reset(afterBytes: 40)], times: 6),
        Case(testDescription: "no answers", faults: [.hangUp], times: 3, word: ""),
        Case(testDescription: "short bodies", faults: [.shorten(toBytes: 40)], times: 6),
        Case(testDescription: "flipped bytes", faults: [.flip(atByte: 500)], times: 3, word: ""),
        Case(testDescription: "ranges ignored", faults: [.ignoreRange], times: 3),
        Case(
            testDescription: "a stalled connection", faults: [.stall(afterBytes: 2000, seconds: 5)],
            settings: ["SLACKER_NETWORK_STALL_SECONDS=1"], word: ""),
        Case(testDescription: "404 that passes", faults: [.answer(404)], times: 2, word: "404"),
    ]

    @Test("harm that passes is not seen by a container", arguments: passing)
    func passes(_ harm: Case) throws {
        let lab = try FaultLab(harm.settings)
        try lab.pull()
        for fault in harm.faults { lab.proxy.inject(fault, times: harm.times, where: FaultLab.isPack) }
        let cold = try lab.check()
        #expect(cold.status == 0 && cold.errors == "", "\(cold)")
        if let word = harm.word {
            let sources = try lab.fetching().sources
            #expect(
                sources.contains { $0.failures > 0 && $0.lastError?.contains(word) == true }, "\(sources)")
        }
        try lab.expectHealed()
    }

    /// Harm that stays until somebody mends the server.
    static let lasting = [
        Case(testDescription: "404 of packs", faults: [.answer(404)], word: "404"),
        Case(testDescription: "403", faults: [.answer(403)], word: "403"),
        Case(
            testDescription: "bytes that are always wrong", faults: [.flip(atByte: 9)], word: "chunk at byte"),
        Case(testDescription: "a redirect loop", faults: [], word: "redirect"),
    ]

    @Test("harm that stays is an error of the read after the limit, and of nothing else", arguments: lasting)
    func stays(_ harm: Case) throws {
        let lab = try FaultLab(["SLACKER_FETCH_WAIT_SECONDS=3"])
        try lab.pull()
        let warm = try lab.slacker("run", "--rm", "copy", "/bin/cat", "/etc/motd")
        #expect(warm.status == 0 && warm.output == "hello from the image\n", "\(warm)")
        let loop = "http://\(lab.proxy.host)/v2/team/base/blobs/again"
        let faults = harm.faults.isEmpty ? [.answer(307, headers: [("Location", loop)])] : harm.faults
        for fault in faults { lab.proxy.inject(fault, times: .max, where: FaultLab.isPack) }
        let start = MonotonicTime.now
        let cold = try lab.slacker("run", "--rm", "copy", "/bin/sha256sum", "/data/noise")
        #expect(cold.status == 1 && cold.output == "", "\(cold)")
        #expect(cold.errors.contains("nput/output error"), "\(cold)")
        #expect(MonotonicTime.now.seconds(since: start) < 25)
        let source = try #require(try lab.fetching().sources.first)
        #expect(source.failures > 0, "\(source)")
        #expect(source.lastError?.contains(harm.word ?? "") == true, "\(source)")
        let still = try lab.slacker("run", "--rm", "copy", "/bin/cat", "/etc/motd")
        #expect(still.status == 0 && still.output == "hello from the image\n", "\(still)")
        lab.proxy.heal()
        try lab.expectWhole()
    }

    @Test("a pull that fails is one line with the cause")
    func failedPull() throws {
        let lab = try FaultLab(["SLACKER_NETWORK_RETRIES=1"])
        let isManifest: @Sendable (FaultProxy.Request) -> Bool = { $0.path.contains("/manifests/") }
        for (status, word) in [(401, "login"), (404, "no such image"), (503, "503"), (429, "too many")] {
            lab.proxy.heal()
            lab.proxy.inject(
                .answer(status, headers: [("WWW-Authenticate", "Basic realm=\"test\"")]), times: .max,
                where: isManifest)
            let result = try lab.slacker("pull", "--name", "copy", lab.reference)
            #expect(result.status == 1 && result.output == "", "\(result)")
            #expect(result.errors.hasPrefix("slacker: ") && result.errors.contains(word), "\(result)")
            #expect(result.errors.contains("team/base"), "\(result)")
            #expect(result.errors.split(separator: "\n").count == 1, "\(result)")
        }
        #expect(try lab.machine.localImages().isEmpty)
        lab.proxy.heal()
        try lab.pull()
        try lab.expectWhole()
    }
}
