// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import TestSupport
import Testing

@testable import ChunkStore

/// Ranges that are under way before anybody knows what lies in them.
@Suite(.timeLimit(.minutes(2))) struct EarlyRangeTests {
    /// What a source would be told.
    private final class Calls: FetchCancellation {
        let cancels = Lock(0)
        let resumes = Lock(0)

        func cancel() { cancels.withLock { $0 += 1 } }
        func resume() { resumes.withLock { $0 += 1 } }
    }

    private func begun(_ range: Range<UInt64>) -> (EarlyRange, Calls) {
        let (early, calls) = (EarlyRange(range), Calls())
        early.begun(calls)
        return (early, calls)
    }

    private func hand(_ early: EarlyRange, _ target: any RangeReceiver, _ wanted: Range<UInt64>) -> Bool {
        let isTaken = early.hand(to: target, wanted)
        if isTaken { early.tellKept() }
        return isTaken
    }

    private func give(_ early: EarlyRange, _ bytes: [UInt8]) -> RangeFlow {
        bytes.withUnsafeBytes { early.receive($0) }
    }

    @Test func whatCameBeforeAndAfterIsHeardInOrder() {
        let (early, calls) = begun(16..<22)
        #expect(give(early, [1, 2]) == .proceed)
        let keeper = RangeKeeper()
        #expect(hand(early, keeper, 16..<22))
        #expect(!hand(early, RangeKeeper(), 16..<22))
        #expect(give(early, [3, 4, 5]) == .proceed)
        #expect(keeper.state.withLock { $0.bytes } == [1, 2, 3, 4, 5])
        #expect(give(early, [6]) == .proceed)
        early.finish(nil)
        let end = keeper.wait()
        #expect(end?.bytes == [1, 2, 3, 4, 5, 6])
        #expect(end?.finishes == [nil])
        // The source is at its end and keeps its connection.
        #expect(calls.cancels.withLock { $0 } == 0)
    }

    @Test(arguments: [10..<20, 12..<17, 15..<16, 10..<11, 19..<20] as [Range<UInt64>])
    func onlyWhatIsWantedIsHeard(wanted: Range<UInt64>) {
        let all = (10..<20).map { UInt8($0) }
        for pieceBytes in 1...10 {
            let (early, calls) = begun(10..<20)
            let keeper = RangeKeeper()
            for (index, start) in stride(from: 0, to: all.count, by: pieceBytes).enumerated() {
                _ = give(early, Array(all[start..<min(start + pieceBytes, all.count)]))
                if index == 0 { #expect(hand(early, keeper, wanted)) }
            }
            early.finish(nil)
            let end = keeper.wait()
            #expect(end?.bytes == Array(all[Int(wanted.lowerBound) - 10..<Int(wanted.upperBound) - 10]))
            #expect(end?.finishes == [nil])
            #expect(calls.cancels.withLock { $0 } == (wanted.upperBound < 20 ? 1 : 0))
        }
    }

    @Test func aFailureIsTheTransfersWhenItTookOverAndNobodysBefore() {
        let failure = SourceFailure.unavailable("reset", retryAfterMs: nil)
        let (late, _) = begun(0..<8)
        _ = give(late, [1])
        late.finish(failure)
        #expect(!hand(late, RangeKeeper(), 0..<8))

        let (early, _) = begun(0..<8)
        let keeper = RangeKeeper()
        #expect(hand(early, keeper, 0..<8))
        _ = give(early, [1, 2])
        early.finish(failure)
        #expect(keeper.wait()?.finishes == [failure])

        let (short, _) = begun(0..<8)
        let other = RangeKeeper()
        #expect(hand(short, other, 0..<8))
        _ = give(short, [1, 2])
        short.finish(nil)
        #expect(other.wait()?.finishes.first != .some(nil))
    }

    @Test func aPauseHoldsWhatIsKept() {
        let (early, _) = begun(0..<4)
        _ = give(early, [1])
        let mayGo = Lock(false)
        let keeper = RangeKeeper { _ in mayGo.withLock { $0 } ? .proceed : .pause }
        #expect(hand(early, keeper, 0..<4))
        #expect(give(early, [2, 3]) == .proceed)
        #expect(keeper.state.withLock { $0.bytes.isEmpty && $0.pauses == 1 })
        mayGo.withLock { $0 = true }
        early.resume()
        #expect(keeper.state.withLock { $0.bytes } == [1, 2, 3])
        _ = give(early, [4])
        early.finish(nil)
        #expect(keeper.wait()?.bytes == [1, 2, 3, 4])
    }

    @Test func memoryIsBoundedUntilSomebodyTakesOver() {
        let piece = [UInt8](repeating: 7, count: 1 << 20)
        let total = UInt64(EarlyRange.keptLimit) * 2
        let (early, calls) = begun(0..<total)
        var taken = 0
        while give(early, piece) == .proceed { taken += 1 }
        #expect(taken == EarlyRange.keptLimit >> 20)
        #expect(calls.resumes.withLock { $0 } == 0)
        let keeper = RangeKeeper()
        #expect(hand(early, keeper, 0..<total))
        #expect(calls.resumes.withLock { $0 } == 1)
        while taken < Int(total >> 20), give(early, piece) == .proceed { taken += 1 }
        early.finish(nil)
        #expect(keeper.wait()?.bytes.count == Int(total))
    }

    @Test func cancellingEndsBothSides() {
        let (untaken, calls) = begun(0..<8)
        untaken.cancel()
        #expect(calls.cancels.withLock { $0 } == 1)
        #expect(give(untaken, [1]) == .stop)
        #expect(!hand(untaken, RangeKeeper(), 0..<8))

        let (taken, others) = begun(0..<8)
        let keeper = RangeKeeper()
        #expect(hand(taken, keeper, 0..<8))
        taken.cancel()
        taken.cancel()
        #expect(keeper.wait()?.finishes == [.cancelled])
        #expect(others.cancels.withLock { $0 } >= 1)
        #expect(give(taken, [1]) == .stop)
    }

    // MARK: With the engine

    @Test func aBootStreamGoesOnWithAPreload() throws {
        let fixture = try FetchFixture(mixedContents(64), bootChunks: 48)
        let source = fixture.source("a", .init(latencySeconds: 0.02, bytesPerSecond: 20e6))
        let engine = try fixture.engine([source])
        let pack = fixture.table.packs[0]
        let id = try #require(try fixture.store.sources.intern(["test:0"]).first)
        engine.preload(pack, firstBytes: try #require(fixture.table.bootEnd), from: id)
        engine.preload(pack, firstBytes: 1 << 20, from: id)
        usleep(50_000)
        #expect(fixture.presentCount == 0)
        engine.streamBootPack(fixture.map)
        engine.endPreload(pack)
        try engine.wantAndWait([fixture.handles[3]], class: .demand, timeoutMs: 5000)
        #expect(eventually { fixture.presentCount == 48 })
        #expect(source.requests.count == 1)
        #expect(eventually { source.open == 0 })
        try fixture.checkPresent()
    }

    @Test func aPreloadThatFailedCostsNothingButItself() throws {
        let fixture = try FetchFixture(mixedContents(32), bootChunks: 32)
        let source = fixture.source(
            "a", .init { $0.number == 0 ? .cut(after: 100_000, .invalid("short")) : .serve })
        let engine = try fixture.engine([source])
        let pack = fixture.table.packs[0]
        let id = try #require(try fixture.store.sources.intern(["test:0"]).first)
        engine.preload(pack, firstBytes: pack.sizeBytes, from: id)
        #expect(eventually { source.open == 0 })
        engine.streamBootPack(fixture.map)
        engine.endPreload(pack)
        #expect(eventually { fixture.presentCount == 32 })
        try fixture.checkPresent()
    }

    @Test func aPreloadThatNobodyWantsEnds() throws {
        let fixture = try FetchFixture(mixedContents(16), bootChunks: 16)
        let source = fixture.source("a", .init(bytesPerSecond: 1e5))
        let engine = try fixture.engine([source])
        let pack = fixture.table.packs[0]
        let id = try #require(try fixture.store.sources.intern(["test:0"]).first)
        engine.preload(pack, firstBytes: pack.sizeBytes, from: id)
        #expect(eventually { source.open == 1 })
        engine.endPreload(pack)
        #expect(eventually { source.open == 0 })
        #expect(fixture.presentCount == 0)
    }
}
