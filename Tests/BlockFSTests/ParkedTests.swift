// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import Blocks
import CLinux
import ChunkStore
import Glibc
import Synchronization
import TestSupport
import Testing
import Volumes

/// Reads and writes of blocks that are not here yet.
@Suite(.serialized) struct ParkedTests {
    private static let directFlag: Int32 = 0o40000

    /// Blocks that differ from each other; cheap to make in a debug build.
    private func random(_ blocks: Int, _ seed: UInt8 = 1) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(blocks * Block.bytes)
        for block in 0..<blocks {
            bytes += [UInt8(truncatingIfNeeded: block), UInt8(truncatingIfNeeded: block >> 8), seed, 1]
            bytes += [UInt8](repeating: UInt8(truncatingIfNeeded: block) &+ seed, count: Block.bytes - 4)
        }
        return bytes
    }

    /// What a direct read gives, or its error number.
    private static func read(_ path: String, _ block: Int, _ count: Int) -> Result<[UInt8], SystemError> {
        Result { () throws(SystemError) in
            let file = try File(open: path, O_RDONLY | directFlag)
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count * 4096, alignment: 4096)
            defer { buffer.deallocate() }
            return Array(buffer.prefix(try file.read(into: buffer, at: UInt64(block * 4096))))
        }
    }

    private static func reading(
        _ path: String, _ block: Int, _ count: Int
    ) throws -> Background<Result<[UInt8], SystemError>> {
        try Background { read(path, block, count) }
    }

    @Test func readsAreAnsweredWhenTheirBlocksHaveCome() throws {
        let content = random(512)
        let source = ScriptedSource(content)
        let mounted = try MountedStore(source: source)
        try mounted.addAbsentImage("i", content)
        _ = try mounted.store.clone(image: "i", as: "v")
        source.hold()
        // More than there are threads, some of them for the same blocks.
        let spans = (0..<24).map { (block: $0 * 20, count: 1 + $0 % 30) }
        let readers = try spans.enumerated().map { index, span in
            try Self.reading(
                index % 2 == 0 ? mounted.snapshotPath("i") : mounted.volumePath("v"), span.block, span.count)
        }
        #expect(mounted.waitUntilParked(spans.count))
        #expect(try mounted.store.blockFile(volume: "v").seekHole(from: 0) == 512 * 4096)
        source.release()
        for (reader, span) in zip(readers, spans) {
            let bytes = try #require(reader.value()).get()
            expectEqual(
                bytes, Array(content[span.block * 4096..<(span.block + span.count) * 4096]), "\(span)")
        }
        #expect(mounted.fileSystem.waitingRequests == 0)
        expectEqual(try mounted.content(mounted.snapshotPath("i")), content, "whole, through the page cache")
    }

    @Test func whatCannotBeFetchedIsAnErrorOnce() throws {
        let content = random(64)
        let source = ScriptedSource(content)
        let mounted = try MountedStore(source: source, wantSeconds: 0.5)
        try mounted.addAbsentImage("i", content)
        source.fail(.missing("no such pack"))
        let path = mounted.snapshotPath("i")
        #expect(errorNumber { _ = try Self.read(path, 0, 4).get() } == EIO)
        source.fail(nil)
        let limit = MonotonicTime.now.advanced(bySeconds: 20)
        var found: [UInt8] = []
        while found.isEmpty && MonotonicTime.now < limit { found = (try? Self.read(path, 0, 4).get()) ?? [] }
        expectEqual(found, Array(content.prefix(16384)), "after the source is well again")
    }

    @Test func withoutAnEngineAbsentBlocksAreErrors() throws {
        let content = random(32)
        let mounted = try MountedStore()
        try mounted.addAbsentImage("i", content)
        #expect(errorNumber { _ = try Self.read(mounted.snapshotPath("i"), 0, 1).get() } == EIO)
    }

    @Test func absentBlocksSurviveARestart() throws {
        let content = random(64)
        let directory = try MountedStore.makeDirectory()
        defer { try? Directories.removeTree(directory) }
        do {
            let mounted = try MountedStore(directory: directory, source: ScriptedSource(content))
            try mounted.addAbsentImage("i", content)
            _ = try Self.read(mounted.snapshotPath("i"), 0, 4).get()
            mounted.store.chunks.synchronizeFetched()
        }
        let source = ScriptedSource(content)
        source.fail(.unavailable("away", retryAfterMs: nil))
        let mounted = try MountedStore(directory: directory, source: source, wantSeconds: 0.5)
        let path = mounted.snapshotPath("i")
        expectEqual(try Self.read(path, 0, 4).get(), Array(content.prefix(16384)), "what had come")
        #expect(errorNumber { _ = try Self.read(path, 48, 4).get() } == EIO)
    }

    @Test func aLazyVolumeIsSnapshotAndSealed() throws {
        let content = random(64)
        let source = ScriptedSource(content)
        let mounted = try MountedStore(source: source)
        try mounted.addAbsentImage("i", content)
        source.hold()
        _ = try mounted.store.clone(image: "i", as: "v")
        let change = random(2, 9)
        try mounted.file(volume: "v").write(change, at: 8192)
        let reader = try Self.reading(mounted.volumePath("v"), 0, 64)
        #expect(mounted.waitUntilParked(1))
        _ = try mounted.store.snapshot(volume: "v", as: "j")
        try mounted.store.waitUntilSealed("j")
        source.release()
        var wanted = content
        wanted.replaceSubrange(8192..<16384, with: change)
        expectEqual(try #require(reader.value()).get(), wanted, "the read from before")
        expectEqual(try mounted.content(mounted.snapshotPath("j")), wanted, "snapshot")
    }

    @Test func aBlockIsWrittenInPartWhenItHasCome() throws {
        var content = random(64)
        let source = ScriptedSource(content)
        let mounted = try MountedStore(source: source)
        try mounted.addAbsentImage("i", content)
        let path = mounted.volumePath("v")
        _ = try mounted.store.clone(image: "i", as: "v")
        source.hold()
        let change = random(3, 5)
        let writer = try Background {
            errorNumber { try File(open: path, O_WRONLY).write(change, at: 4096 * 20 + 77) }
        }
        #expect(mounted.waitUntilParked(1))
        source.release()
        #expect(try #require(writer.value()) == nil)
        content.replaceSubrange(4096 * 20 + 77..<4096 * 23 + 77, with: change)
        source.hold()
        let eraser = try Background {
            errorNumber {
                let file = try File(open: path, O_WRONLY)
                if fallocate(file.fd, Int32(SLK_FALLOC_ZERO_RANGE), 4096 * 40 + 1, 9000) < 0 {
                    throw SystemError.last("fallocate", path)
                }
            }
        }
        // The window of read-ahead may have brought these blocks along.
        _ = mounted.waitUntilParked(1)
        source.release()
        #expect(try #require(eraser.value()) == nil)
        content.replaceSubrange(4096 * 40 + 1..<4096 * 40 + 9001, with: [UInt8](repeating: 0, count: 9000))
        expectEqual(try mounted.content(path), content, "volume")
    }

    /// The kernel waits for direct reads whatever happens; what it interrupts are writes of parts of blocks.
    @Test func aWriterThatIsKilledIsLetGo() throws {
        let content = random(64)
        let source = ScriptedSource(content)
        let mounted = try MountedStore(source: source)
        try mounted.addAbsentImage("i", content)
        _ = try mounted.store.clone(image: "i", as: "v")
        source.hold()
        let began = MonotonicTime.now
        let result = try Subprocess.run([
            "timeout", "-s", "KILL", "1", "dd", "if=/dev/zero", "of=" + mounted.volumePath("v"), "bs=100",
            "count=1", "conv=notrunc",
        ])
        #expect(!result.succeeded && MonotonicTime.now.seconds(since: began) < 5)
        #expect(mounted.waitUntilParked(0))
        source.release()
        expectEqual(try Self.read(mounted.volumePath("v"), 0, 1).get(), Array(content.prefix(4096)), "after")
    }

    @Test func stoppingAnswersWhatIsParked() throws {
        let content = random(256)
        let source = ScriptedSource(content)
        let mounted = try MountedStore(source: source)
        try mounted.addAbsentImage("i", content)
        source.hold()
        let readers = try (0..<8).map { try Self.reading(mounted.snapshotPath("i"), $0 * 32, 4) }
        #expect(mounted.waitUntilParked(8))
        #expect(throws: (any Error).self) { try mounted.fileSystem.stop() }
        #expect(mounted.fileSystem.waitingRequests == 8)
        let began = MonotonicTime.now
        try mounted.fileSystem.stop(force: true)
        #expect(MonotonicTime.now.seconds(since: began) < 3)
        for reader in readers {
            let result = try #require(reader.value())
            #expect(errorNumber { _ = try result.get() } == EIO)
        }
        // The engine answers late; nobody is there any more.
        source.release()
    }

    /// Pages that are read ahead for a file which has been closed.
    @Test func pagesReadAheadDoNotHoldUpTheEnd() throws {
        let content = random(2048)
        let source = ScriptedSource(content)
        let mounted = try MountedStore(source: source)
        try mounted.addAbsentImage("i", content)
        source.hold()
        do {
            let file = try File(open: mounted.snapshotPath("i"), O_RDONLY)
            posix_fadvise(file.fd, 0, 1 << 20, Int32(POSIX_FADV_WILLNEED))
            // How many requests that makes is the kernel's affair.
            let limit = MonotonicTime.now.advanced(bySeconds: 5)
            while mounted.fileSystem.waitingRequests == 0, MonotonicTime.now < limit { usleep(1000) }
            #expect(mounted.fileSystem.waitingRequests > 0)
        }
        let began = MonotonicTime.now
        try mounted.fileSystem.stop()
        #expect(MonotonicTime.now.seconds(since: began) < 5)
        source.release()
    }

    /// Hits are answered whatever number of reads waits; prints how fast.
    @Test func hitsDoNotWaitForMisses() throws {
        let content = random(4096)
        let source = ScriptedSource(content)
        let mounted = try MountedStore(source: source)
        try mounted.addImage("here", random(1024, 3))
        try mounted.addAbsentImage("i", content)
        let file = try File(open: mounted.snapshotPath("here"), O_RDONLY | Self.directFlag)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 4096)
        defer { buffer.deallocate() }
        func hitsPerSecond() throws -> Double {
            let began = MonotonicTime.now
            var random = SplitMix(seed: 4)
            for _ in 0..<1000 {
                _ = try file.read(into: buffer, at: UInt64(random.below(1024) * 4096))
            }
            return 1000 / MonotonicTime.now.seconds(since: began)
        }
        _ = try hitsPerSecond()
        let alone = try (0..<3).map { _ in try hitsPerSecond() }.max() ?? 0
        source.hold()
        let readers = try (0..<64).map { try Self.reading(mounted.snapshotPath("i"), $0 * 64, 1) }
        #expect(mounted.waitUntilParked(64))
        let beside = try (0..<3).map { _ in try hitsPerSecond() }.max() ?? 0
        print("hits/s: \(Int(alone)) alone, \(Int(beside)) beside 64 parked reads")
        // That the hits came is the test, since nobody could have answered the others. How fast they are on a busy
        // machine is told, not held: that is for the benchmark.
        #expect(mounted.fileSystem.waitingRequests == 64)
        source.release()
        for reader in readers { #expect((try? reader.value()?.get().count) == 4096) }
    }

    /// Direct reads of a loop device, which the kernel counts as background requests.
    @Test func aLoopDeviceHasMoreReadsParkedThanTheKernelsDefault() throws {
        let content = random(4096)
        let source = ScriptedSource(content)
        let mounted = try MountedStore(source: source)
        try mounted.addAbsentImage("i", content)
        try mounted.addImage("here", random(256, 3))
        source.hold()
        let path = mounted.snapshotPath("i")
        let fio = try Background {
            (try? Subprocess.run([
                "timeout", "-s", "KILL", "30", "fio", "--name=p", "--filename=" + path, "--rw=randread",
                "--bs=4k",
                "--direct=1", "--ioengine=libaio", "--iodepth=64", "--readonly", "--size=16M",
                "--io_size=256k",
            ]).succeeded) ?? false
        }
        #expect(mounted.waitUntilParked(64))
        expectEqual(
            try mounted.content(mounted.snapshotPath("here")), random(256, 3), "hits, read ahead as well")
        source.release()
        #expect(fio.value(seconds: 30) == true)
    }
}
