// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import TestSupport
import Testing

@testable import ChunkStore

/// Figures for people, taken with `SLACKER_MEASURE=1` and an optimised build; they assert only what is far
/// off.
@Suite(.enabled(if: getenv("SLACKER_MEASURE") != nil), .serialized) struct Measurements {
    private func report(_ text: String) {
        _ = Array((text + "\n").utf8).withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
    }

    private func residentBytes() throws -> Int {
        let text = String(
            decoding: try File(open: "/proc/self/statm", O_RDONLY).read(count: 200, at: 0), as: UTF8.self)
        return (Int(text.split(separator: " ")[1]) ?? 0) * 4096
    }

    /// A store whose index names chunks that were never written: lookups never touch the data.
    private func hugeStore(_ directory: String, chunks: Int) throws -> (ChunkStore, BlockMap) {
        let store = try ChunkStore(directory: directory)
        var builder = BlockMapBuilder(blockCount: UInt32(chunks * 16))
        var generator = SplitMix(seed: 1)
        for index in 0..<chunks {
            let digest = Digest(words: (generator.next(), generator.next(), generator.next(), UInt64(index)))
            let slot = Slot(arena: index / 65536, block: UInt32(index % 65536 * 16), count: 16)
            store.core.table.withLock { _ = $0.insert(digest, slot, [.indexed]) }
            builder.add(
                start: UInt32(index * 16), chunk: ChunkDescriptor(digest: digest, blockCount: 16), count: 16)
        }
        return (store, builder.finish())
    }

    @Test func lookups() throws {
        let directory = try TemporaryDirectory()
        let before = try residentBytes()
        let (store, map) = try hugeStore(directory.path, chunks: 655_360)
        report(
            "store and map of 655360 chunks: \((try residentBytes() - before) >> 20) MiB (with the plain map)"
        )
        let start = MonotonicTime.now
        let resident = try store.attach(map)
        report("attach: \(MonotonicTime.now.seconds(since: start) * 1000) ms")
        var generator = SplitMix(seed: 2)
        for (name, blocks, rounds) in [("4 KiB", 1, 2_000_000), ("1 MiB", 256, 200_000)]
            as [(String, UInt32, Int)]
        {
            var segments: [Segment] = []
            segments.reserveCapacity(64)
            var total = 0
            let places = (0..<rounds).map { _ in
                UInt32.random(in: 0..<map.blockCount - blocks, using: &generator)
            }
            let start = MonotonicTime.now
            for place in places {
                segments.removeAll(keepingCapacity: true)
                resident.appendSegments(for: BlockRange(start: place, count: blocks), to: &segments)
                total += segments.count
            }
            let each = MonotonicTime.now.seconds(since: start) / Double(rounds) * 1e9
            report("lookup of \(name): \(each) ns, \(Double(total) / Double(rounds)) segments")
        }
    }

    @Test(arguments: [false, true]) func ingest(later: Bool) throws {
        let directory = try TemporaryDirectory()
        let store = try ChunkStore(directory: directory.path)
        let session = store.beginIngest()
        let contents = (0..<512).map { content($0, blocks: 16) }
        let start = MonotonicTime.now
        for round in 0..<16 as Range<UInt64> {
            for var bytes in contents {
                bytes[100] = UInt8(round)
                if later { _ = try session.addLater(bytes) } else { try session.add(bytes) }
            }
        }
        _ = try session.descriptors()
        let added = MonotonicTime.now
        try session.commit()
        let total = 16.0 * 512 * 65536 / 1e6
        report(
            "ingest \(later ? "on threads" : "inline"): \(total / added.seconds(since: start)) MB/s, commit "
                + "\(MonotonicTime.now.seconds(since: added)) s")
    }

    @Test func millionChunks() throws {
        let directory = try TemporaryDirectory()
        let (store, map) = try hugeStore(directory.path, chunks: 1_000_000)
        let start = MonotonicTime.now
        for chunk in map.chunks where !store.contains(chunk) { Issue.record("a chunk is not found") }
        report("find: \(MonotonicTime.now.seconds(since: start) / 1e6 * 1e9) ns")
    }
}
