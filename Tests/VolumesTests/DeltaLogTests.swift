// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import TestSupport
import Testing

@testable import Volumes

@Suite struct BlockStatesTests {
    @Test(arguments: 1...4)
    func equalsAPlainArray(_ seed: Int) {
        var random = SplitMix(seed: UInt64(seed))
        let count = 3 * BlockStates.blocksPerLeaf + 77
        let states = BlockStates(blockCount: count)
        var model = [BlockState](repeating: .clean, count: Int(count))
        for _ in 0..<300 {
            let start = UInt32(random.below(Int(count)))
            let length = min(count - start, UInt32(1 + random.below(random.below(4) == 0 ? 70000 : 200)))
            let state: BlockState = [.clean, .data, .zero][random.below(3)]
            states.set(BlockRange(start: start, count: length), to: state)
            for block in start..<start + length { model[Int(block)] = state }
        }
        #expect(states.ownedCount == model.count { $0 != .clean })
        var block: UInt32 = 0
        while block < count {
            let run = states.run(from: block, to: count)
            #expect(model[Int(block)..<Int(run.end)].allSatisfy { $0 == run.state })
            #expect(run.end == count || model[Int(run.end)] != run.state)
            let owned = states.ownedRun(from: block, to: count)
            #expect(owned.isOwned == (run.state != .clean) && owned.end >= run.end)
            block = run.end
        }
    }

    @Test func anUntouchedMapHasNoLeaf() {
        let states = BlockStates(blockCount: 10 << 20)
        let run = states.run(from: 5, to: 10 << 20)
        #expect(run.state == .clean && run.end == 10 << 20)
        states.set(BlockRange(start: 0, count: 10 << 20), to: .clean)
        #expect(states.ownedCount == 0)
    }

    @Test func growingKeepsStatesAndShrinkingForgetsThem() {
        let states = BlockStates(blockCount: 10)
        states.set(BlockRange(start: 2, count: 8), to: .data)
        states.resize(from: 10, to: 5)
        states.resize(from: 5, to: 200_000)
        #expect(states.ownedCount == 3)
        #expect(states.run(from: 2, to: 200_000).end == 5)
        #expect(states.state(of: 199_999) == .clean)
    }
}

@Suite struct DeltaLogTests {
    private static func header(_ number: UInt8) throws -> DeltaLogHeader {
        DeltaLogHeader(
            delta: 42, blockCount: 100, parentLimit: .max, firstSequence: 1, bootID: try boot(number))
    }

    /// Header, five records, a barrier over the first two at place 3, and room behind.
    private static func log() throws -> [UInt8] {
        var bytes = try header(1).encode()
        let records: [DeltaLogRecord] = [
            DeltaLogRecord(kind: .data, start: 0, count: 4, sequence: 1),
            DeltaLogRecord(kind: .zero, start: 2, count: 1, sequence: 2),
            .barrier(through: 2, sequence: 3),
            DeltaLogRecord(kind: .data, start: 9, count: 1, sequence: 4),
            DeltaLogRecord(kind: .resize, start: 50, count: 0, sequence: 5),
        ]
        for record in records { bytes += record.encode(delta: 42) }
        return bytes + [UInt8](repeating: 0, count: 256)
    }

    private static func replay(_ bytes: [UInt8], sameBoot: Bool) throws -> DeltaLogReplay {
        try DeltaLogReplay(bytes, header: DeltaLogHeader.decode(bytes, delta: 42).get(), sameBoot: sameBoot)
    }

    @Test func headerComesBackAsItWas() throws {
        let header = try Self.header(9)
        #expect(try DeltaLogHeader.decode(header.encode(), delta: 42).get() == header)
        #expect(throws: DamagedLog.self) { try DeltaLogHeader.decode(header.encode(), delta: 43).get() }
    }

    @Test func theSameBootBelievesEverything() throws {
        let replay = try Self.replay(try Self.log(), sameBoot: true)
        #expect(replay.believed.map(\.sequence) == [1, 2, 4, 5])
        #expect(replay.nextSequence == 6 && replay.vouched == 2 && replay.hasResize)
    }

    @Test func anotherBootBelievesWhatTheBarrierVouchesFor() throws {
        #expect(try Self.replay(try Self.log(), sameBoot: false).believed.map(\.sequence) == [1, 2])
    }

    /// On the same boot nothing may be missing, so damage anywhere in what was written is noticed.
    @Test func everyFlippedBitIsNoticedOnTheSameBoot() throws {
        let bytes = try Self.log()
        let whole = try Self.replay(bytes, sameBoot: true).believed
        for index in 0..<bytes.count where index < 64 || index >= DeltaLogHeader.byteCount {
            var damaged = bytes
            damaged[index] ^= 1 << UInt8(index % 8)
            let found = try? Self.replay(damaged, sameBoot: true).believed
            #expect(found == nil || found == whole, "byte \(index)")
            _ = try? Self.replay(damaged, sameBoot: false)
        }
    }

    @Test func everyTruncationIsSurvived() throws {
        let bytes = try Self.log()
        for count in stride(from: 0, to: bytes.count, by: 13) {
            _ = try? Self.replay(Array(bytes.prefix(count)), sameBoot: count % 2 == 0)
        }
    }

    @Test func aGapBeforeTwoBarriersIsDamageAfterAPowerCut() throws {
        var bytes = try Self.header(1).encode()
        let gap = bytes.count
        bytes += DeltaLogRecord(kind: .data, start: 0, count: 4, sequence: 1).encode(delta: 42)
        bytes += DeltaLogRecord.barrier(through: 1, sequence: 2).encode(delta: 42)
        bytes += DeltaLogRecord.barrier(through: 1, sequence: 3).encode(delta: 42)
        bytes[gap + 5] ^= 1
        #expect(throws: DamagedLog.self) { try Self.replay(bytes, sameBoot: false) }
        // With one barrier it may be a flush that never ended.
        #expect(try Self.replay(Array(bytes.dropLast(32)), sameBoot: false).believed.isEmpty)
    }
}
