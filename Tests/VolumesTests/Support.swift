// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc
import Testing

@testable import Volumes

/// A directory that goes with the test.
final class TestDirectory {
    let path: String

    init() throws {
        var template = Array("/var/tmp/slacker-volumes-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        path = String(cString: made)
    }

    deinit {
        // A store whose end the test did not wait for may write for a moment more, where this removes.
        for _ in 0..<40 {
            if (try? Directories.removeTree(path)) != nil { return }
            usleep(50_000)
        }
    }
}

extension VolumeStore {
    /// Adds an image with the given content, cut at every 16 blocks and at zero blocks.
    @discardableResult
    func addImage(_ name: String, content: [UInt8], configuration: [UInt8] = [1, 2, 3]) throws -> ImageRecord
    {
        let session = chunks.beginIngest()
        let count = content.count / Block.bytes
        var builder = BlockMapBuilder(blockCount: UInt32(count))
        var block = 0
        while block < count {
            var end = block
            while end < min(count, block + 16),
                content[end * Block.bytes..<(end + 1) * Block.bytes].contains(where: { $0 != 0 })
            { end += 1 }
            let bytes = block * Block.bytes..<end * Block.bytes
            if end > block,
                let chunk = try content.withUnsafeBytes({ try session.add(.init(rebasing: $0[bytes])) })
            {
                builder.add(start: UInt32(block), chunk: chunk, count: chunk.blockCount)
            }
            block = max(end, block + 1)
        }
        return try addImage(
            name: name, map: builder.finish(), configuration: configuration, source: "test", session: session)
    }

    func content(image: String) throws -> [UInt8] {
        let file = try blockFile(image: image)
        return try file.withSegments(offset: 0, count: Int(file.sizeBytes)) { segments in
            Result { try Segments.read(segments) }
        }.get()
    }
}

extension Volume {
    func content(at offset: UInt64 = 0, count: Int = .max) throws -> [UInt8] {
        try withSegments(offset: offset, count: min(count, Int(sizeBytes))) { segments in
            Result { try Segments.read(segments) }
        }.get()
    }

    func write(_ bytes: [UInt8], at offset: UInt64) throws {
        let written = try write(at: offset, count: bytes.count) {
            (descriptor, position) throws(SystemError) in
            let count = retrying { pwrite(descriptor, bytes, bytes.count, off_t(position)) }
            if count < 0 { throw SystemError.last("pwrite", "test") }
            return count
        }
        #expect(written == bytes.count)
    }
}

/// Two byte strings differ; prints the first block that does instead of all bytes.
func expectEqual(
    _ found: [UInt8], _ wanted: [UInt8], _ what: String, sourceLocation: SourceLocation = #_sourceLocation
) {
    if found == wanted { return }
    let index = zip(found, wanted).enumerated().first { $1.0 != $1.1 }?.offset
    let text = "\(what): \(found.count) bytes against \(wanted.count), first difference at \(index ?? -1)"
    Issue.record(Comment(rawValue: text), sourceLocation: sourceLocation)
}

func boot(_ number: UInt8) throws -> BootID {
    try #require(BootID(bytes: [UInt8](repeating: number, count: BootID.byteCount)))
}
