// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import TestSupport
import Testing

@testable import ChunkStore

/// A directory that goes away with the test.
final class TemporaryDirectory {
    let path: String

    init() throws {
        path = "/var/tmp/slacker-chunks-\(getpid())-\(UInt64.random(in: .min ... .max))"
        try Directories.create(path)
    }

    deinit {
        try? Directories.removeTree(path)
    }

    /// Copies a store as a crash would leave it, were everything written so far on the disk.
    func copy(_ store: String, to name: String, sparse: String = "auto") throws -> String {
        let target = path + "/" + name
        try Directories.create(target + "/arenas")
        // Holes must stay holes, and the index goes last: it never promises what is not in the arenas.
        for file in try Directories.names(in: store + "/arenas") {
            try copyFile(store + "/arenas/" + file, target + "/arenas/" + file, sparse)
        }
        try copyFile(store + "/index.log", target + "/index.log", "auto")
        return target
    }

    private func copyFile(_ source: String, _ target: String, _ sparse: String) throws {
        let result = try Subprocess.run(["cp", "--sparse=\(sparse)", "--reflink=auto", source, target])
        try #require(result.succeeded)
    }
}

/// Noise that all contents share; made once, since unoptimised code makes it slowly.
private let noise: [UInt8] = {
    var generator = SplitMix(seed: 0)
    return (0..<Block.maximumChunkBytes).map { _ in UInt8.random(in: 1...255, using: &generator) }
}()

/// Bytes of a chunk that only `seed` and the length decide, without two equal blocks: never all zero.
func content(_ seed: UInt64, blocks: Int) -> [UInt8] {
    var bytes = Array(noise[..<(blocks * Block.bytes)])
    for block in 0..<blocks {
        for byte in 0..<8 {
            bytes[block * Block.bytes + byte] = UInt8(truncatingIfNeeded: seed >> UInt64(8 * byte))
        }
        bytes[block * Block.bytes + 8] = UInt8(block)
    }
    return bytes
}

/// Equality by one call of memcmp: unoptimised, `==` compares byte by byte through a witness table.
func same(_ left: [UInt8], _ right: [UInt8]) -> Bool {
    left.withUnsafeBytes { left in
        right.withUnsafeBytes { right in
            guard left.count == right.count, let start = left.baseAddress, let other = right.baseAddress
            else {
                return left.count == right.count
            }
            return memcmp(start, other, left.count) == 0
        }
    }
}

/// All pieces in a row; the standard library's `joined` goes byte by byte when nothing is optimised.
func concatenated(_ pieces: [[UInt8]]) -> [UInt8] {
    pieces.reduce(into: []) { $0 += $1 }
}

func descriptor(_ bytes: [UInt8]) -> ChunkDescriptor {
    ChunkDescriptor(digest: Digest(hashing: bytes), blockCount: UInt8(bytes.count / Block.bytes))
}

extension IngestSession {
    @discardableResult
    func add(_ bytes: [UInt8]) throws -> ChunkDescriptor? {
        try bytes.withUnsafeBytes { try add($0) }
    }

    func addLater(_ bytes: [UInt8]) throws -> Int {
        try bytes.withUnsafeBytes { try addLater($0) }
    }
}

extension BlockMap {
    /// A map whose chunks follow one another without holes.
    static func of(_ chunks: [ChunkDescriptor]) -> BlockMap {
        let total = chunks.reduce(UInt32(0)) { $0 + UInt32($1.blockCount) }
        var builder = BlockMapBuilder(blockCount: total)
        var block: UInt32 = 0
        for chunk in chunks {
            builder.add(start: block, chunk: chunk, count: chunk.blockCount)
            block += UInt32(chunk.blockCount)
        }
        return builder.finish()
    }
}

extension ChunkStore {
    /// Stores and commits chunks and attaches a map of them.
    func store(_ contents: [[UInt8]]) throws -> ResidentMap {
        let session = beginIngest()
        var chunks: [ChunkDescriptor] = []
        for bytes in contents {
            if let chunk = try session.add(bytes) { chunks.append(chunk) }
        }
        try session.commit()
        let map = try attach(.of(chunks))
        session.release()
        return map
    }

    /// The bytes of a range, read the way the data path does.
    func readAll(_ map: ResidentMap, _ range: BlockRange) throws -> [UInt8] {
        try withStableSlots { () throws -> [UInt8] in
            var segments: [Segment] = []
            map.appendSegments(for: range, to: &segments)
            var bytes: [UInt8] = []
            for segment in segments {
                switch segment.source {
                case .absent(let handle):
                    throw ChunkStoreError.absentChunk(self.descriptor(of: handle).digest)
                case .zeros: bytes += [UInt8](repeating: 0, count: segment.byteCount)
                case .file(let descriptor, let offset):
                    var piece = [UInt8](repeating: 0, count: segment.byteCount)
                    let count = piece.withUnsafeMutableBytes {
                        pread(descriptor, $0.baseAddress, $0.count, off_t(offset))
                    }
                    try #require(count == segment.byteCount)
                    bytes.append(contentsOf: piece)
                }
            }
            return bytes
        }
    }
}
