// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import Testing

@testable import ChunkStore

/// Bytes in memory as a source.
private struct Bytes: ByteSource {
    let bytes: [UInt8]
    var sizeBytes: UInt64 { UInt64(bytes.count) }

    func read(at offset: UInt64, count: Int) throws(ChunkStoreError) -> [UInt8] {
        guard offset <= sizeBytes, count <= bytes.count - Int(offset) else {
            throw .badObject(name: "bytes", reason: "a read leaves the source")
        }
        return Array(bytes[Int(offset)..<Int(offset) + count])
    }
}

@Suite struct PackTests {
    private func makePack(_ contents: [[UInt8]], in directory: String) throws -> ([UInt8], PackWriter.Summary)
    {
        let file = try File(open: directory + "/pack", O_RDWR | O_CREAT | O_TRUNC)
        let writer = try PackWriter(file)
        for bytes in contents { try writer.add(descriptor(bytes), bytes) }
        let summary = try writer.finish()
        return (try file.read(count: Int(summary.sizeBytes), at: 0), summary)
    }

    /// Contents that shrink, and some that do not.
    private func mixed(_ count: UInt64) -> [[UInt8]] {
        (0..<count).map { seed in
            var bytes = content(seed, blocks: 1 + Int(seed % 3))
            if seed % 2 == 0 {
                bytes.replaceSubrange(64..., with: [UInt8](repeating: 7, count: bytes.count - 64))
            }
            return bytes
        }
    }

    @Test func packsGiveBackWhatWasPutIn() throws {
        let directory = try TemporaryDirectory()
        let contents = mixed(40)
        let (bytes, summary) = try makePack(contents + contents, in: directory.path)
        #expect(Digest(hashing: bytes) == summary.digest)
        let reader = try PackReader(Bytes(bytes: bytes), name: "p")
        #expect(reader.directory == summary.directory)
        #expect(reader.directory.entries.count == 40)
        #expect(reader.directory.entries.contains { $0.coding == .plain })
        #expect(reader.directory.entries.contains { $0.coding == .zstd })
        for plain in contents { #expect(try reader.read(descriptor(plain)) == plain) }
        #expect(try reader.read(descriptor(content(99, blocks: 1))) == nil)
        let apart = try PackDirectory(decoding: summary.directory.encode(), name: "p")
        let second = try PackReader(Bytes(bytes: bytes), name: "p", directory: apart)
        #expect(try second.read(descriptor(contents[3])) == contents[3])
    }

    @Test func anEmptyPackIsAPack() throws {
        let directory = try TemporaryDirectory()
        let (bytes, _) = try makePack([], in: directory.path)
        #expect(try PackReader(Bytes(bytes: bytes), name: "p").directory.entries.isEmpty)
    }

    @Test func aFlippedByteNeverGivesWrongData() throws {
        let directory = try TemporaryDirectory()
        let contents = mixed(4)
        let (bytes, _) = try makePack(contents, in: directory.path)
        var refusals = 0
        // The bytes of plain chunks all behave alike: most of them are skipped.
        for index in bytes.indices where index < 600 || index > bytes.count - 700 || index % 41 == 0 {
            var damaged = bytes
            damaged[index] ^= 1 << UInt8(index % 8)
            do {
                let reader = try PackReader(Bytes(bytes: damaged), name: "p")
                for plain in contents { #expect(same(try reader.read(descriptor(plain)) ?? plain, plain)) }
            } catch {
                refusals += 1
            }
        }
        #expect(refusals > 500)
    }

    @Test func aShortenedPackIsRefused() throws {
        let directory = try TemporaryDirectory()
        let (bytes, _) = try makePack(mixed(2), in: directory.path)
        for length in stride(from: 0, to: bytes.count, by: 17) {
            #expect(throws: ChunkStoreError.self) {
                try PackReader(Bytes(bytes: Array(bytes[..<length])), name: "p")
            }
        }
    }

    @Test func aLyingDirectoryIsRefused() throws {
        let chunk = descriptor(content(1, blocks: 2))
        func refuses(_ entries: [PackDirectory.Entry]) -> Bool {
            let bytes = PackDirectory(entries: entries).encode()
            return (try? PackDirectory(decoding: bytes, name: "p")) == nil
        }
        func entry(_ offset: UInt64, _ count: Int, _ coding: PackDirectory.Coding) -> PackDirectory.Entry {
            PackDirectory.Entry(chunk: chunk, coding: coding, offset: offset, byteCount: count)
        }
        #expect(!refuses([entry(16, 100, .zstd)]))
        #expect(!refuses([entry(16, 8192, .plain)]))
        #expect(refuses([entry(16, 8192, .zstd)]))
        #expect(refuses([entry(16, 0, .zstd)]))
        #expect(refuses([entry(16, 8191, .plain)]))
        #expect(refuses([entry(17, 100, .zstd)]))
        #expect(refuses([entry(.max, 100, .zstd)]))
        #expect(refuses([entry(16, 100, .zstd), entry(116, 100, .zstd)]))
    }

    @Test func aStoreTravelsThroughADirectory() throws {
        let directory = try TemporaryDirectory()
        let source = try ChunkStore(directory: directory.path + "/a")
        let target = try ChunkStore(directory: directory.path + "/b")
        let backend = try DirectoryBackend(directory: directory.path + "/remote")
        let contents = mixed(60)
        let resident = try source.store(contents)
        let export = try PackTransfer.export(
            resident, of: source, to: backend, scratch: directory.path, packBytes: 40000)
        #expect(export.packs.count > 2)
        #expect(try backend.list(.pack) == export.packs.sorted())
        #expect(try backend.list(.blockMap) == [export.map])
        let session = target.beginIngest()
        let map = try PackTransfer.import(
            export.map, packs: export.packs, from: backend, into: session, of: target)
        try session.commit()
        #expect(map == resident.map)
        let copy = try target.attach(map)
        let all = BlockRange(start: 0, count: map.blockCount)
        #expect(same(try target.readAll(copy, all), try source.readAll(resident, all)))
        // What the other side knows is not sent again.
        let known = Set(map.chunks.map(\.digest))
        let again = try PackTransfer.export(
            resident, of: source, to: backend, known: known, scratch: directory.path)
        #expect(again == PackTransfer.Export(map: export.map, packs: []))
        try backend.delete(export.packs[0])
        #expect(try !backend.exists(export.packs[0]))
        let other = try ChunkStore(directory: directory.path + "/c")
        #expect(throws: ChunkStoreError.self) {
            try PackTransfer.import(
                export.map, packs: Array(export.packs.dropFirst()), from: backend, into: other.beginIngest(),
                of: other)
        }
    }

    @Test func aBackendRefusesWhatDoesNotMatchItsName() throws {
        let directory = try TemporaryDirectory()
        let backend = try DirectoryBackend(directory: directory.path + "/remote")
        let file = try File(open: directory.path + "/f", O_RDWR | O_CREAT)
        try file.write([1, 2, 3], at: 0)
        let wrong = ObjectName(.pack, Digest(hashing: [1, 2]))
        #expect(throws: ChunkStoreError.self) { try backend.put(wrong, contentsOf: file) }
        #expect(try !backend.exists(wrong))
        #expect(try Directories.names(in: directory.path + "/remote/incoming").isEmpty)
        let right = ObjectName(.pack, Digest(hashing: [1, 2, 3]))
        try backend.put(right, contentsOf: file)
        try backend.put(right, contentsOf: file)
        #expect(try backend.size(of: right) == 3)
        #expect(try backend.read(right, at: 1, count: 2) == [2, 3])
        #expect(throws: ChunkStoreError.self) { try backend.read(right, at: 1, count: 3) }
    }
}
