// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import CLinux
import Glibc
import TestSupport
import Testing
import Volumes

@Suite struct DataTests {
    @Test func aSnapshotReadsAsItsContent() throws {
        let mounted = try MountedStore()
        var random = SplitMix(seed: 1)
        var content = random.bytes(3 << 20)
        content.replaceSubrange(1 << 20..<(1 << 20) + 300_000, with: [UInt8](repeating: 0, count: 300_000))
        try mounted.addImage("image", content)
        for flags in [O_RDONLY, O_RDONLY | directFlag] {
            let file = try File(open: mounted.snapshotPath("image"), flags)
            expectEqual(try alignedRead(file, 0, content.count), content, "whole")
            for _ in 0..<100 {
                let start = random.below(content.count / 4096) * 4096
                let count = min(content.count - start, (1 + random.below(300)) * 4096)
                expectEqual(
                    try alignedRead(file, start, count), Array(content[start..<start + count]),
                    "\(start)+\(count)")
            }
        }
    }

    /// Random operations on a file beside a model in memory; a seed replays a failure.
    @Test(arguments: 1...6)
    func aVolumeEqualsItsModel(_ seed: Int) throws {
        let mounted = try MountedStore()
        var random = SplitMix(seed: UInt64(seed))
        var model = random.bytes(64 * 4096 * 2)
        try mounted.addImage("image", model)
        _ = try mounted.store.clone(image: "image", as: "v")
        let file = try mounted.file(volume: "v")
        for step in 0..<200 {
            let start = random.below(model.count)
            let count = min(model.count - start, 1 + random.below(random.below(10) == 0 ? 300_000 : 9000))
            switch random.below(8) {
            case 0...2:
                let bytes = random.bytes(count)
                try file.write(bytes, at: UInt64(start))
                model.replaceSubrange(start..<start + count, with: bytes)
            case 3:
                try file.punchHole(at: UInt64(start), count: UInt64(count))
                model.replaceSubrange(start..<start + count, with: [UInt8](repeating: 0, count: count))
            case 4:
                let result = fallocate(file.fd, Int32(SLK_FALLOC_ZERO_RANGE), off_t(start), off_t(count))
                #expect(result == 0)
                model.replaceSubrange(start..<start + count, with: [UInt8](repeating: 0, count: count))
            case 5:
                let size = (1 + random.below(160)) * 4096
                try file.truncate(to: UInt64(size))
                model = Array(model.prefix(size)) + [UInt8](repeating: 0, count: max(0, size - model.count))
            case 6: try file.synchronizeData()
            default:
                expectEqual(
                    try file.read(count: count, at: UInt64(start)), Array(model[start..<start + count]),
                    "seed \(seed) step \(step)")
            }
        }
        #expect(try file.size() == UInt64(model.count))
        expectEqual(try mounted.content(mounted.volumePath("v")), model, "seed \(seed)")
        expectEqual(
            try alignedRead(try File(open: mounted.volumePath("v"), O_RDONLY | directFlag), 0, model.count),
            model, "seed \(seed), direct")
    }

    @Test func allocatingMakesAFileLonger() throws {
        let mounted = try MountedStore()
        _ = try mounted.store.createVolume(named: "v", sizeBytes: 4096)
        let file = try mounted.file(volume: "v")
        #expect(fallocate(file.fd, 0, 4096, 10000) == 0)
        #expect(try file.size() == 16384)
        #expect(fallocate(file.fd, Int32(SLK_FALLOC_KEEP_SIZE), 0, 1 << 30) == 0)
        #expect(try file.size() == 16384)
        #expect(fallocate(file.fd, 8 /* FALLOC_FL_COLLAPSE_RANGE */, 0, 4096) == -1 && errno == EOPNOTSUPP)
    }

    @Test func holesAreFound() throws {
        let mounted = try MountedStore()
        try mounted.addImage("image", [UInt8](repeating: 1, count: 16 * 4096), blockCount: 1000)
        _ = try mounted.store.clone(image: "image", as: "v")
        let file = try mounted.file(volume: "v")
        try file.write([UInt8](repeating: 2, count: 4096), at: 100 * 4096)
        try file.punchHole(at: 0, count: 4 * 4096)
        func seek(_ offset: Int, _ whence: Int) -> Int { lseek(file.fd, off_t(offset), Int32(whence)) }
        #expect(seek(0, SLK_SEEK_DATA) == 4 * 4096)
        #expect(seek(5 * 4096, SLK_SEEK_DATA) == 5 * 4096)
        #expect(seek(5 * 4096, SLK_SEEK_HOLE) == 16 * 4096)
        #expect(seek(16 * 4096, SLK_SEEK_DATA) == 100 * 4096)
        #expect(seek(100 * 4096, SLK_SEEK_HOLE) == 101 * 4096)
        #expect(seek(101 * 4096, SLK_SEEK_DATA) == -1 && errno == ENXIO)
        #expect(seek(1000 * 4096, SLK_SEEK_HOLE) == -1 && errno == ENXIO)
    }

    @Test func writersSideBySideLoseNothing() throws {
        let mounted = try MountedStore()
        var random = SplitMix(seed: 2)
        try mounted.addImage("image", random.bytes(1 << 20), blockCount: 16384)
        _ = try mounted.store.clone(image: "image", as: "v")
        try mounted.run([
            "fio", "--name=v", "--verify_state_save=0", "--filename=" + mounted.volumePath("v"),
            "--rw=randwrite",
            "--bsrange=512-256k",
            "--size=16M", "--numjobs=3", "--offset_increment=16M", "--verify=crc32c", "--verify_fatal=1",
            "--do_verify=1", "--ioengine=psync", "--fallocate=none", "--group_reporting",
        ])
        try mounted.run([
            "fio", "--name=d", "--verify_state_save=0", "--filename=" + mounted.volumePath("v"),
            "--rw=randrw", "--bs=4k",
            "--size=32M",
            "--io_size=64M", "--iodepth=16", "--direct=1", "--ioengine=libaio", "--verify=crc32c",
            "--verify_fatal=1", "--fallocate=none",
        ])
    }

    @Test func aPageCacheReaderSeesDirectWrites() throws {
        let mounted = try MountedStore()
        _ = try mounted.store.createVolume(named: "v", sizeBytes: 1 << 20)
        let cached = try mounted.file(volume: "v")
        #expect(try cached.read(count: 1 << 20, at: 0) == [UInt8](repeating: 0, count: 1 << 20))
        let direct = try File(open: mounted.volumePath("v"), O_RDWR | directFlag)
        try alignedWrite(direct, 40960, [UInt8](repeating: 9, count: 8192))
        #expect(try cached.read(count: 4, at: 40958) == [0, 0, 9, 9])
        try cached.write([1], at: 40960)
        #expect(try alignedRead(direct, 40960, 4096).prefix(2) == [1, 9])
    }
}

/// Reads through a buffer that suits direct I/O.
private func alignedRead(_ file: File, _ start: Int, _ count: Int) throws -> [UInt8] {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 4096)
    defer { buffer.deallocate() }
    return Array(buffer.prefix(try file.read(into: buffer, at: UInt64(start))))
}

private func alignedWrite(_ file: File, _ start: Int, _ bytes: [UInt8]) throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 4096)
    defer { buffer.deallocate() }
    buffer.copyBytes(from: bytes)
    try file.write(UnsafeRawBufferPointer(buffer), at: UInt64(start))
}

private let directFlag: Int32 = 0o40000
