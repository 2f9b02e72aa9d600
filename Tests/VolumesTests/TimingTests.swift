// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc
import TestSupport
import Testing

@testable import Volumes

/// Prints how long the operations take that must not depend on size; asserts only that they work.
@Suite(.serialized) struct TimingTests {
    private static let gibibyte: UInt64 = 1 << 30

    /// A map of the given length, each chunk of it used over and over so that ingesting it is quick.
    private static func map(_ session: IngestSession, sizeBytes: UInt64) throws -> BlockMap {
        let blocks = UInt32(sizeBytes / UInt64(Block.bytes))
        var random = SplitMix(seed: sizeBytes)
        var chunks: [ChunkDescriptor] = []
        for _ in 0..<64 {
            let bytes = random.bytes(Block.maximumChunkBytes)
            if let chunk = try bytes.withUnsafeBytes({ try session.add($0) }) { chunks.append(chunk) }
        }
        var builder = BlockMapBuilder(blockCount: blocks)
        for (index, start) in stride(from: UInt32(0), to: blocks, by: 16).enumerated() {
            builder.add(start: start, chunk: chunks[index % chunks.count], count: 16)
        }
        return builder.finish()
    }

    private static func milliseconds(_ body: () throws -> Void) rethrows -> Double {
        let start = MonotonicTime.now
        try body()
        return MonotonicTime.now.seconds(since: start) * 1000
    }

    private static func report(_ what: String, _ times: [Double]) {
        let sorted = times.sorted()
        let numbers = [sorted[sorted.count / 2], sorted[sorted.count * 99 / 100], sorted[sorted.count - 1]]
        let text = numbers.map { String(Int($0 * 1000)) }
        print("timing: \(what): p50 \(text[0]) us, p99 \(text[1]) us, max \(text[2]) us of \(times.count)")
    }

    private static func residentKiB() -> Int {
        guard let text = try? File(open: "/proc/self/status", O_RDONLY).read(count: 4096, at: 0) else {
            return 0
        }
        let line = String(decoding: text, as: UTF8.self).split(separator: "\n").first {
            $0.hasPrefix("VmRSS")
        }
        return line.flatMap { Int($0.filter(\.isNumber)) } ?? 0
    }

    /// Large maps take long to make without optimisation, and the figures mean little then.
    static var sizesGibibytes: [UInt64] {
        #if DEBUG
            [1]
        #else
            [1, 10, 40]
        #endif
    }

    @Test(arguments: sizesGibibytes)
    func clonesAndSnapshots(gibibytes: UInt64) throws {
        let directory = try TestDirectory()
        let store = try VolumeStore(root: directory.path + "/root")
        let session = store.chunks.beginIngest()
        let map = try Self.map(session, sizeBytes: gibibytes * Self.gibibyte)
        _ = try store.addImage(name: "i", map: map, configuration: [], source: "test", session: session)
        let before = Self.residentKiB()
        var times: [Double] = []
        for number in 0..<1000 {
            times.append(try Self.milliseconds { _ = try store.clone(image: "i", as: "v\(number)") })
        }
        Self.report("\(gibibytes) GiB clone", times)
        print("timing: \(gibibytes) GiB memory of 1000 clones: \(Self.residentKiB() - before) KiB")
        times = []
        var dirty: [Double] = []
        for number in 0..<100 {
            let volume = try store.blockFile(volume: "v\(number)")
            try volume.write([UInt8](repeating: UInt8(number), count: 1 << 20), at: UInt64(number) << 20)
            if number % 2 == 0 {
                try volume.synchronize()
                times.append(
                    try Self.milliseconds { _ = try store.snapshot(volume: "v\(number)", as: "s\(number)") })
            } else {
                dirty.append(
                    try Self.milliseconds { _ = try store.snapshot(volume: "v\(number)", as: "s\(number)") })
            }
        }
        Self.report("\(gibibytes) GiB snapshot of a flushed volume", times)
        Self.report("\(gibibytes) GiB snapshot with 1 MiB not flushed", dirty)
        store.close()
    }

    @Test func flushes() throws {
        let directory = try TestDirectory()
        let store = try VolumeStore(root: directory.path + "/root")
        let volume = try store.createVolume(named: "v", sizeBytes: Self.gibibyte)
        let block = [UInt8](repeating: 5, count: Block.bytes)
        for (what, step) in [("new block", 16), ("same block again", 0)] {
            var times: [Double] = []
            for number in 0..<100 {
                try volume.write(block, at: UInt64(number * step * Block.bytes))
                times.append(try Self.milliseconds { try volume.synchronize() })
            }
            Self.report("flush after a \(what)", times)
        }
        let plain = try File(open: directory.path + "/plain", O_RDWR | O_CREAT)
        try plain.truncate(to: Self.gibibyte)
        for (what, step) in [("new block", 16), ("same block again", 0)] {
            var times: [Double] = []
            for number in 0..<100 {
                try plain.write(block, at: UInt64(number * step * Block.bytes))
                times.append(try Self.milliseconds { try plain.synchronizeData() })
            }
            Self.report("plain sparse file, fdatasync after a \(what)", times)
        }
    }
}
