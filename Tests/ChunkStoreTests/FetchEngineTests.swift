// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import Testing

@testable import ChunkStore

@Suite(.timeLimit(.minutes(2))) struct FetchEngineTests {
    @Test func manyWantsOneRequest() throws {
        let fixture = try FetchFixture(mixedContents(4))
        let source = fixture.source("a", .init(latencySeconds: 0.05))
        let engine = try fixture.engine([source])
        let answers = Answers()
        for number in 0..<20 {
            engine.want([fixture.handles[1]], class: .demand, completion: answers.take(number))
        }
        #expect(answers.wait(20))
        #expect(answers.failures.isEmpty && Set(answers.all.map(\.number)).count == 20)
        #expect(source.requests.count == 1)
        #expect(fixture.presentCount == 1)
        try fixture.checkPresent()
        // What is here needs nobody.
        #expect(engine.want([fixture.handles[1]], class: .demand, completion: answers.take(20)) == nil)
        #expect(answers.wait(21) && source.requests.count == 1)
    }

    @Test func neighboursMergeAndGapsDoNot() throws {
        let fixture = try FetchFixture(mixedContents(12))
        let source = fixture.source("a")
        let engine = try fixture.engine([source])
        let wanted = [7, 0, 1, 2, 5].map { fixture.handles[$0] }
        try engine.wantAndWait(wanted, class: .demand, timeoutMs: 5000)
        let ranges = source.requests.map(\.range).sorted { $0.lowerBound < $1.lowerBound }
        #expect(ranges.count == 3)
        #expect(ranges.first == fixture.offset(0)..<fixture.offset(3))
        #expect(fixture.presentCount == 5)
        try fixture.checkPresent()
    }

    @Test func directorySource() throws {
        let fixture = try FetchFixture(mixedContents(64), perPack: 20)
        let engine = try fixture.engine([DirectoryPackSource(directory: fixture.directory.path)])
        try engine.wantAndWait(fixture.handles, class: .demand, timeoutMs: 20000)
        #expect(fixture.presentCount == 64)
        try fixture.checkPresent()
        fixture.store.synchronizeFetched()
        #expect(engine.status().sources.first?.fetchedBytes ?? 0 > 0)
    }

    @Test func damagedChunksComeFromAnotherSource() throws {
        let fixture = try FetchFixture(mixedContents(8), sources: 2)
        let place = fixture.offset(2) + 100
        let liar = fixture.source("liar", .init { _ in .lie(at: place) })
        let honest = fixture.source("honest", .init(latencySeconds: 0.02))
        let engine = try fixture.engine([liar, honest])
        try engine.wantAndWait(fixture.handles, class: .demand, timeoutMs: 10000)
        try fixture.checkPresent()
        #expect(fixture.presentCount == 8)
        let status = engine.status().sources
        #expect(status.first { $0.name == "liar" }?.damagedChunks == 1)
        #expect(status.first { $0.name == "honest" }?.failures == 0)
    }

    @Test func allSourcesFail() throws {
        let fixture = try FetchFixture(mixedContents(8), sources: 2, perPack: 4)
        let bad = fixture.table.packs[0].digest
        let rest = fixture.packs.filter { $0.key != bad }
        let sources = ["a", "b"].map { ScriptedSource($0, rest) }
        var limits = FetchLimits()
        limits.wantSeconds = 1
        let engine = try fixture.engine(sources, limits)
        let answers = Answers()
        engine.want([fixture.handles[0]], class: .demand, completion: answers.take(0))
        try engine.wantAndWait(Array(fixture.handles[4...]), class: .demand, timeoutMs: 5000)
        #expect(eventually { engine.status().stalled.first?.pack == bad })
        #expect(answers.wait(1))
        let text = answers.failures.map(\.description).joined()
        #expect(text.contains(bad.hex) && text.contains("a: missing") && text.contains("b: missing"))
        #expect(text.contains(descriptor(fixture.contents[0]).digest.hex))
    }

    @Test func outagesPass() throws {
        let fixture = try FetchFixture(mixedContents(40))
        let back = MonotonicTime.now.advanced(bySeconds: 3)
        let source = fixture.source(
            "a",
            .init { _ in MonotonicTime.now < back ? .fail(.unavailable("down", retryAfterMs: nil)) : .serve })
        let engine = try fixture.engine([source])
        let answers = Answers()
        for number in 0..<40 {
            engine.want([fixture.handles[number]], class: .demand, completion: answers.take(number))
        }
        #expect(answers.wait(40))
        #expect(MonotonicTime.now.seconds(since: back) < 1)
        #expect(answers.failures.isEmpty)
        // A source that is down is asked now and then, not by everybody.
        #expect(source.requests.count < 40 * 2 + 40)
    }

    @Test func hangingSourceIsFoundBack() throws {
        let fixture = try FetchFixture(mixedContents(6))
        let back = MonotonicTime.now.advanced(bySeconds: 4)
        let source = fixture.source("a", .init { _ in MonotonicTime.now < back ? .hang : .serve })
        var limits = FetchLimits()
        limits.stallSeconds = 0.5
        let engine = try fixture.engine([source], limits)
        try engine.wantAndWait(fixture.handles, class: .demand, timeoutMs: 10000)
        #expect(MonotonicTime.now.seconds(since: back) < 1)
    }

    @Test func retryAfterIsFollowed() throws {
        let fixture = try FetchFixture(mixedContents(2))
        let source = fixture.source(
            "a", .init { $0.number == 0 ? .fail(.unavailable("busy", retryAfterMs: 800)) : .serve })
        let engine = try fixture.engine([source])
        try engine.wantAndWait([fixture.handles[0]], class: .demand, timeoutMs: 5000)
        let times = source.requests.map(\.time)
        #expect(times.count == 2 && times[1].seconds(since: times[0]) >= 0.8)
    }

    @Test func shortBodiesAndCutsGoOn() throws {
        let fixture = try FetchFixture(mixedContents(16))
        let source = fixture.source(
            "a",
            .init { request in
                switch request.number {
                case 0: .cut(after: 150_000, nil)
                case 1: .cut(after: 90_000, .unavailable("reset", retryAfterMs: nil))
                default: .serve
                }
            })
        let engine = try fixture.engine([source])
        try engine.wantAndWait(fixture.handles, class: .demand, timeoutMs: 10000)
        #expect(fixture.presentCount == 16 && source.requests.count == 3)
        try fixture.checkPresent()
    }

    @Test func stragglersAreRaced() throws {
        let fixture = try FetchFixture(mixedContents(40), sources: 2)
        let slow = fixture.source(
            "slow", .init(latencySeconds: 0.005) { $0.number == 20 ? .hang : .serve })
        let other = fixture.source("other", .init(latencySeconds: 0.03))
        let engine = try fixture.engine([slow, other])
        let start = MonotonicTime.now
        for handle in fixture.handles.enumerated().filter({ $0.offset % 2 == 0 }).map(\.element) {
            try engine.wantAndWait([handle], class: .demand, timeoutMs: 5000)
        }
        for index in [1, 3, 5] {
            try engine.wantAndWait([fixture.handles[index]], class: .demand, timeoutMs: 5000)
        }
        #expect(MonotonicTime.now.seconds(since: start) < 5)
        #expect(engine.status().hedgesWon >= 1)
        #expect(other.requests.count <= 4)
    }

    @Test func cancelledWantsAnswerOnce() throws {
        let fixture = try FetchFixture(mixedContents(6))
        let source = fixture.source("a", .init { _ in .hang })
        let engine = try fixture.engine([source])
        let answers = Answers()
        let first = engine.want([fixture.handles[0]], class: .demand, completion: answers.take(0))
        engine.want([fixture.handles[1]], class: .demand, owner: 7, completion: answers.take(1))
        engine.want([fixture.handles[2]], class: .demand, completion: answers.take(2))
        if let first { engine.cancel(first) }
        #expect(answers.wait(1) && answers.all.first?.number == 0)
        engine.cancel(owner: 7)
        #expect(answers.wait(2) && answers.all.last?.number == 1)
        engine.shutDown()
        #expect(answers.all.count == 3)
        for failure in answers.failures { #expect("\(failure)" == "the fetch was cancelled") }
        #expect(eventually { source.open == 0 })
        engine.want([fixture.handles[3]], class: .demand, completion: answers.take(3))
        #expect(answers.wait(4))
    }

    @Test func goesAwayWithoutLeaks() throws {
        let fixture = try FetchFixture(mixedContents(6))
        let source = fixture.source("a", .init(latencySeconds: 0.01))
        weak var core: FetchCore?
        do {
            let engine = try fixture.engine([source])
            core = engine.core
            engine.want(fixture.handles, class: .demand) { _ in }
            _ = engine.fill(fixture.map, owner: 1)
        }
        #expect(eventually { core == nil })
        #expect(eventually { source.open == 0 })
        #expect(fixture.store.statistics().references == UInt64(fixture.handles.count))
    }

    @Test func unknownSourcesAreLookedUpAgain() throws {
        let fixture = try FetchFixture(mixedContents(2))
        let source = fixture.source("late")
        let known = Lock(false)
        let engine = try FetchEngine(store: fixture.store) { _ in known.withLock { $0 } ? source : nil }
        let answers = Answers()
        engine.want(fixture.handles, class: .demand, completion: answers.take(0))
        usleep(100_000)
        known.withLock { $0 = true }
        #expect(answers.wait(1, seconds: 3) && answers.failures.isEmpty)
    }
}
