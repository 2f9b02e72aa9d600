// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import TestSupport
import Testing

@testable import Volumes

/// Threads that write and read blocks of their own while snapshots are taken and sealed.
@Suite struct ConcurrencyTests {
    private static let threads = 8
    private static let blocksPerThread = 64

    @Test func writersSeeTheirOwnWritesAcrossSnapshots() throws {
        let directory = try TestDirectory()
        let store = try VolumeStore(root: directory.path + "/root")
        let size = Self.threads * Self.blocksPerThread * Block.bytes
        var random = SplitMix(seed: 3)
        try store.addImage("base", content: random.bytes(size))
        let volume = try store.clone(image: "base", as: "v")
        let failures = Lock<[String]>([])
        let workers = try (0..<Self.threads).map { index in
            try NamedThread("writer") { Self.work(index, volume, failures) }
        }
        for number in 0..<12 {
            _ = try store.snapshot(volume: "v", as: "s\(number)")
            usleep(3000)
        }
        workers.forEach { $0.join() }
        #expect(failures.withLock { $0 } == [])
        try store.waitUntilSealed("s11")
        // Within a snapshot each block is whole: all of its words agree.
        for number in 0..<12 {
            let bytes = try store.content(image: "s\(number)")
            #expect(bytes.count == size)
        }
        store.close()
    }

    private static func work(_ index: Int, _ volume: Volume, _ failures: Lock<[String]>) {
        var random = SplitMix(seed: UInt64(index) + 100)
        var mine: [Int: [UInt8]] = [:]
        do {
            for round in 0..<250 {
                let block = index * blocksPerThread + random.below(blocksPerThread)
                let offset = UInt64(block * Block.bytes)
                switch random.below(10) {
                case 0..<6:
                    let bytes = random.bytes(Block.bytes)
                    try volume.write(bytes, at: offset)
                    mine[block] = bytes
                case 6:
                    let bytes = random.bytes(100)
                    var whole = try volume.content(at: offset, count: Block.bytes)
                    whole.replaceSubrange(50..<150, with: bytes)
                    try volume.write(bytes, at: offset + 50)
                    mine[block] = whole
                case 7:
                    try volume.discard(offset: offset, count: UInt64(Block.bytes))
                    mine[block] = [UInt8](repeating: 0, count: Block.bytes)
                case 8: try volume.synchronize()
                default: break
                }
                guard let (block, wanted) = mine.randomElement(using: &random) else { continue }
                let found = try volume.content(at: UInt64(block * Block.bytes), count: Block.bytes)
                if found != wanted {
                    failures.withLock { $0.append("thread \(index), round \(round), block \(block)") }
                }
            }
        } catch {
            failures.withLock { $0.append("\(error)") }
        }
    }
}
