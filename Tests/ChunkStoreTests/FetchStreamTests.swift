// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import TestSupport
import Testing

@testable import ChunkStore

/// Boot streams, read-ahead, fills, and how they get out of the way of readers.
@Suite(.timeLimit(.minutes(2))) struct FetchStreamTests {
    @Test func bootPackIsOneRequest() throws {
        let order = (0..<64).map { ($0 * 29) % 64 }
        let fixture = try FetchFixture(mixedContents(64), order: order, bootChunks: 48)
        let source = fixture.source("a", .init(latencySeconds: 0.02, bytesPerSecond: 20e6))
        let engine = try fixture.engine([source])
        engine.streamBootPack(fixture.map)
        // A chunk near the front is waited for.
        try engine.wantAndWait([fixture.handles[order[3]]], class: .demand, timeoutMs: 5000)
        #expect(eventually { fixture.presentCount == 48 })
        #expect(source.requests.count == 1 && source.requests.first?.class == .boot)
        try fixture.checkPresent()
    }

    @Test func readersDoNotWaitForASlowStream() throws {
        let fixture = try FetchFixture(mixedContents(128), bootChunks: 128)
        let source = fixture.source("a", .init(latencySeconds: 0.005, bytesPerSecond: 1e6))
        let engine = try fixture.engine([source])
        engine.streamBootPack(fixture.map)
        usleep(200_000)
        let start = MonotonicTime.now
        try engine.wantAndWait([fixture.handles[126]], class: .demand, timeoutMs: 5000)
        // Four megabytes of stream are before it.
        #expect(MonotonicTime.now.seconds(since: start) < 0.5)
        #expect(source.requests.count { $0.class == .demand } == 1)
    }

    @Test func aStreamThatWasCutGoesOn() throws {
        let fixture = try FetchFixture(mixedContents(64), sources: 2, bootChunks: 64)
        let first = fixture.source(
            "first",
            .init(bytesPerSecond: 20e6) {
                $0.number == 0 ? .cut(after: 500_000, .unavailable("reset", retryAfterMs: nil)) : .serve
            })
        let engine = try fixture.engine([first, fixture.source("second", .init(latencySeconds: 0.1))])
        engine.streamBootPack(fixture.map)
        #expect(eventually { fixture.presentCount == 64 })
        #expect(eventually { engine.status().classes.allSatisfy { $0.requests == 0 } })
    }

    @Test func fillTakesEverythingAndTellsSo() throws {
        let fixture = try FetchFixture(mixedContents(96), perPack: 40)
        let source = fixture.source("a", .init(latencySeconds: 0.002, bytesPerSecond: 4e6))
        let engine = try fixture.engine([source])
        let seen = Lock<[FillProgress]>([])
        let fill = engine.fill(fixture.map, owner: 3) { progress in seen.withLock { $0.append(progress) } }
        fill.pause()
        // What has come is decoded yet.
        #expect(
            eventually {
                let before = fixture.presentCount
                usleep(100_000)
                return source.open == 0 && fixture.presentCount == before
            })
        let there = fixture.presentCount
        usleep(200_000)
        #expect(fixture.presentCount == there)
        fill.resume()
        let end = try #require(fill.wait(seconds: 20))
        #expect(end.state == .complete && end.presentChunks == 96 && end.presentBytes == end.totalBytes)
        #expect(seen.withLock { $0.last } == end)
        try fixture.checkPresent()
        #expect(engine.fill(fixture.map, owner: 3).wait(seconds: 2)?.state == .complete)
    }

    @Test func fillsEndWhenCancelledOrHopeless() throws {
        let fixture = try FetchFixture(mixedContents(64))
        let place = fixture.offset(10) + 5
        let source = fixture.source("a", .init(bytesPerSecond: 2e6) { _ in .lie(at: place) })
        let engine = try fixture.engine([source])
        let fill = engine.fill(fixture.map, owner: 9)
        usleep(50_000)
        engine.cancel(owner: 9)
        #expect(fill.wait(seconds: 2)?.state == .cancelled)
        source.play(.init { _ in .lie(at: place) })
        let end = try #require(engine.fill(fixture.map, owner: 9).wait(seconds: 20))
        #expect(end.state == .incomplete(chunks: [descriptor(fixture.contents[10]).digest]))
        #expect(fixture.presentCount == 63)
        #expect(!fixture.store.isPresent(fixture.handles[10]))
    }

    @Test func ratesAreKept() throws {
        let fixture = try FetchFixture(mixedContents(64))
        var limits = FetchLimits()
        limits.background.bytesPerSecond = 2_000_000
        let engine = try fixture.engine([fixture.source("a")], limits)
        let start = MonotonicTime.now
        let end = try #require(engine.fill(fixture.map, owner: 1).wait(seconds: 20))
        let rate = Double(end.totalBytes) / MonotonicTime.now.seconds(since: start)
        #expect(rate < 2.6e6 && rate > 1.2e6)
    }

    @Test func readersGoBeforeFills() throws {
        let fixture = try FetchFixture(mixedContents(256))
        let source = fixture.source("a", .init(latencySeconds: 0.01, bytesPerSecond: 2e6))
        var limits = FetchLimits()
        limits.background.requestBytes = 1 << 20
        let engine = try fixture.engine([source], limits)
        let fill = engine.fill(fixture.map, owner: 1)
        usleep(100_000)
        var longest = 0.0
        for index in [250, 200, 240, 190, 255] {
            let start = MonotonicTime.now
            try engine.wantAndWait([fixture.handles[index]], class: .demand, timeoutMs: 5000)
            longest = max(longest, MonotonicTime.now.seconds(since: start))
        }
        #expect(longest < 0.3)
        #expect(fill.wait(seconds: 30)?.state == .complete)
    }

    @Test func memoryIsBounded() throws {
        let fixture = try FetchFixture(mixedContents(400))
        var limits = FetchLimits()
        limits.bufferBytes = 1 << 20
        let engine = try fixture.engine([fixture.source("a")], limits)
        let fill = engine.fill(fixture.map, owner: 1)
        var most = 0
        while fill.wait(seconds: 0.001) == nil { most = max(most, engine.status().bufferedBytes) }
        #expect(most <= 1 << 20)
        #expect(fixture.presentCount == 400)
    }

    @Test func sequencesAreSeen() {
        var detector = SequenceDetector(window: (128 << 10)...(8 << 20))
        let step: UInt64 = 64 << 10
        var ahead: UInt64 = 0
        var windows: [UInt64] = []
        for number in 0..<1000 as Range<UInt64> {
            let (goesOn, range) = detector.note(number * step..<(number + 1) * step, in: 0)
            #expect(goesOn == (number > 0))
            guard let range else { continue }
            #expect(range.lowerBound >= ahead)
            ahead = range.upperBound
            windows.append(ahead - (number + 1) * step)
        }
        #expect(windows.first == 128 << 10 && windows.max() == 8 << 20 && windows == windows.sorted())
        var random = SequenceDetector(window: (128 << 10)...(8 << 20))
        for number in 0..<100 as Range<UInt64> {
            let start = number * 7919 % 97 * (64 << 20)
            #expect(random.note(start..<start + step, in: 0).ahead == nil)
        }
    }

    @Test func sequentialReadersAreServedAhead() throws {
        let fixture = try FetchFixture(mixedContents(128))
        let source = fixture.source("a", .init(latencySeconds: 0.01))
        let engine = try fixture.engine([source])
        for index in 0..<100 {
            let range = BlockRange(start: UInt32(index * 16), count: 16)
            let absent = fixture.map.absentHandles(in: range)
            if absent.isEmpty { continue }
            engine.noteMiss(fixture.map, range)
            try engine.wantAndWait(absent, class: .demand, timeoutMs: 5000)
        }
        #expect(source.requests.count < 30)
        #expect(source.requests.contains { $0.class == .readAhead })
        try fixture.checkPresent()
    }

    @Test func packOrderIsSeenToo() throws {
        let order = (0..<128).map { ($0 * 37) % 128 }
        let fixture = try FetchFixture(mixedContents(128), order: order)
        let source = fixture.source("a", .init(latencySeconds: 0.005))
        let engine = try fixture.engine([source])
        for index in order.prefix(100) {
            let range = BlockRange(start: UInt32(index * 16), count: 16)
            let absent = fixture.map.absentHandles(in: range)
            if absent.isEmpty { continue }
            engine.noteMiss(fixture.map, range)
            try engine.wantAndWait(absent, class: .demand, timeoutMs: 5000)
        }
        #expect(source.requests.contains { $0.class == .readAhead })
    }

    @Test func greedyReadersGetEverything() throws {
        let fixture = try FetchFixture(mixedContents(256))
        let source = fixture.source("a", .init(latencySeconds: 0.02, bytesPerSecond: 50e6))
        var limits = FetchLimits()
        limits.eagerBytes = 1 << 20
        limits.readAhead.requestBytes = 1 << 20
        let engine = try fixture.engine([source], limits)
        var generator = SplitMix(seed: 4)
        for _ in 0..<30 {
            let range = BlockRange(start: UInt32.random(in: 0..<256, using: &generator) * 16, count: 16)
            let absent = fixture.map.absentHandles(in: range)
            if absent.isEmpty { continue }
            engine.noteMiss(fixture.map, range)
            try engine.wantAndWait(absent, class: .demand, timeoutMs: 5000)
        }
        #expect(eventually(seconds: 10) { fixture.presentCount == 256 })
        #expect(source.requests.contains { $0.range.count > 512 << 10 })
        try fixture.checkPresent()
    }
}
