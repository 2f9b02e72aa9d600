// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import TestSupport
import Testing

@testable import ChunkStore

/// Random wants, classes, faults and cancellations: every completion comes once, what is present is right,
/// and nothing is fetched twice without need.
@Suite(.timeLimit(.minutes(3))) struct FetchModelTests {
    /// Answers by chance, the same for a request number in each run.
    private func script(_ seed: UInt64, _ packBytes: UInt64) -> ScriptedSource.Script {
        .init(latencySeconds: 0.001, bytesPerSecond: 30e6) { request in
            var generator = SplitMix(seed: seed &+ UInt64(request.number) &* 977)
            switch UInt64.random(in: 0..<100, using: &generator) {
            case 0..<6: return .fail(.unavailable("chance", retryAfterMs: nil))
            case 6..<10: return .lie(at: .random(in: request.range, using: &generator))
            case 10..<14:
                return .cut(after: .random(in: 0..<request.range.count, using: &generator), nil)
            case 14..<16: return .fail(.timedOut("chance"))
            case 16..<17: return .hang
            default: return .serve
            }
        }
    }

    @Test(arguments: [1, 2, 3, 4] as [UInt64]) func random(seed: UInt64) throws {
        let count = 160
        let fixture = try FetchFixture(
            mixedContents(count, blocks: 4, seed: seed), sources: 2, perPack: 50, bootChunks: 30)
        let sources = [fixture.source("a", script(seed, 0)), fixture.source("b", script(seed &+ 99, 0))]
        var limits = FetchLimits()
        limits.stallSeconds = 0.5
        limits.bufferBytes = 256 << 10
        limits.background.requestBytes = 64 << 10
        let engine = try fixture.engine(sources, limits)
        var generator = SplitMix(seed: seed)
        let answers = Answers()
        var wants = 0
        var cancelled = 0
        for step in 0..<300 {
            let first = Int.random(in: 0..<count, using: &generator)
            let length = Int.random(in: 1...min(12, count - first), using: &generator)
            let handles = Array(fixture.handles[first..<first + length])
            let urgency = FetchClass.allCases.randomElement(using: &generator) ?? .demand
            let id = engine.want(handles, class: urgency, completion: answers.take(wants))
            wants += 1
            if let id, Int.random(in: 0..<8, using: &generator) == 0 {
                engine.cancel(id)
                cancelled += 1
            }
            if step == 40 { engine.streamBootPack(fixture.map) }
            if step == 80 { _ = engine.fill(fixture.map, owner: 5) }
            if step == 120 { engine.cancel(owner: 5) }
            usleep(UInt32.random(in: 0..<2000, using: &generator))
        }
        #expect(answers.wait(wants, seconds: 60))
        let numbers = answers.all.map(\.number)
        #expect(numbers.count == wants && Set(numbers).count == wants)
        #expect(answers.failures.count <= cancelled)
        for failure in answers.failures { #expect("\(failure)" == "the fetch was cancelled") }
        try fixture.checkPresent()
        engine.shutDown()
        #expect(eventually { sources.allSatisfy { $0.open == 0 } })
        #expect(fixture.store.statistics().references == UInt64(count))
    }

    /// Without faults no byte comes twice, whatever the classes.
    @Test func nothingTwice() throws {
        let fixture = try FetchFixture(mixedContents(200, blocks: 8), perPack: 80)
        let source = fixture.source("a", .init(latencySeconds: 0.002))
        var limits = FetchLimits()
        limits.background.gapBytes = 0
        limits.readAhead.gapBytes = 0
        let engine = try fixture.engine([source], limits)
        var generator = SplitMix(seed: 8)
        let answers = Answers()
        let fill = engine.fill(fixture.map, owner: 1)
        for number in 0..<200 {
            let first = Int.random(in: 0..<195, using: &generator)
            let urgency: FetchClass = number % 3 == 0 ? .readAhead : .background
            engine.want(
                Array(fixture.handles[first..<first + 5]), class: urgency, completion: answers.take(number))
        }
        #expect(answers.wait(200) && fill.wait(seconds: 10)?.state == .complete)
        let fetched = source.requests.reduce(0) { $0 + $1.range.count }
        #expect(UInt64(fetched) == fixture.table.packedBytes)
    }

    /// A reader among a flood of lower work is served as if alone, or nearly so.
    @Test func demandNeverStarves() throws {
        let fixture = try FetchFixture(mixedContents(300))
        let source = fixture.source("a", .init(latencySeconds: 0.005, bytesPerSecond: 5e6))
        let engine = try fixture.engine([source])
        let fill = engine.fill(fixture.map, owner: 1)
        engine.want(Array(fixture.handles[100..<200]), class: .readAhead) { _ in }
        var longest = 0.0
        for index in stride(from: 299, to: 200, by: -9) {
            let start = MonotonicTime.now
            try engine.wantAndWait([fixture.handles[index]], class: .demand, timeoutMs: 5000)
            longest = max(longest, MonotonicTime.now.seconds(since: start))
        }
        #expect(longest < 0.4)
        fill.cancel()
    }
}
