// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Ext4
import Glibc
import Testing

/// A temporary directory with an image file; both go away with the value's owner.
final class Workspace {
    let path: String

    init() throws {
        var template = Array("/var/tmp/ext4-tests-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError.last("mkdtemp", "/var/tmp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        try? Directories.removeTree(path)
    }

    var image: String { path + "/image" }
    var mountPoint: String { path + "/mnt" }
}

/// The chunks of a test, in memory.
final class ChunkTable {
    private(set) var chunks: [ChunkDescriptor: [UInt8]] = [:]
    private(set) var metadataBytes = 0

    /// Cuts content into chunks as an importer would, leaving out those of zeros.
    func extents(of content: [UInt8], chunkBlocks: Int = Block.maximumPerChunk) -> [FileTree.FileExtent] {
        var extents: [FileTree.FileExtent] = []
        let step = chunkBlocks * Block.bytes
        for start in stride(from: 0, to: content.count, by: step) {
            var part = Array(content[start..<min(start + step, content.count)])
            part += [UInt8](repeating: 0, count: (Block.bytes - part.count % Block.bytes) % Block.bytes)
            guard let chunk = add(part) else { continue }
            extents.append(FileTree.FileExtent(fileBlock: UInt32(start / Block.bytes), chunk: chunk))
        }
        return extents
    }

    func add(_ bytes: [UInt8]) -> ChunkDescriptor? {
        if bytes.allSatisfy({ $0 == 0 }) { return nil }
        let chunk = ChunkDescriptor(
            digest: Digest(hashing: bytes), blockCount: UInt8(bytes.count / Block.bytes))
        chunks[chunk] = bytes
        return chunk
    }

    func format(_ tree: FileTree, _ options: FormatOptions = FormatOptions()) throws -> BlockMap {
        try Formatter.format(tree, options: options) { bytes in
            metadataBytes += bytes.count
            return add(bytes)
        }
    }

    /// Writes the volume as a sparse file.
    func write(_ map: BlockMap, to path: String) throws {
        let file = try File(open: path, O_RDWR | O_CREAT | O_TRUNC)
        try file.truncate(to: map.sizeBytes)
        for extent in map.extents {
            guard let bytes = chunks[map.chunks[Int(extent.chunk)]] else {
                throw SystemError(ENOENT, "chunk", path)
            }
            let start = Int(extent.offset) * Block.bytes
            let part = Array(bytes[start..<start + Int(extent.count) * Block.bytes])
            try file.write(part, at: UInt64(extent.start) * UInt64(Block.bytes))
        }
    }
}

/// Runs a command with a time limit and expects it to succeed.
@discardableResult
func run(_ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation) throws -> String {
    let result = try Subprocess.run(["timeout", "120"] + arguments)
    #expect(
        result.succeeded,
        "\(arguments.joined(separator: " ")): \(result.output.suffix(2000)) \(result.errors.suffix(2000))",
        sourceLocation: sourceLocation)
    return result.output
}

/// e2fsck finds nothing at all to say against the image.
func expectClean(_ image: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
    let result = try Subprocess.run(["timeout", "300", "e2fsck", "-fn", image])
    #expect(
        result.status == 0, "e2fsck: \(result.output.suffix(3000)) \(result.errors)",
        sourceLocation: sourceLocation)
}

extension Workspace {
    /// Mounts the image, runs `body` and unmounts, whatever happens.
    func mounted(_ options: String = "loop", _ body: (String) throws -> Void) throws {
        try Directories.create(mountPoint)
        try run("mount", "-t", "ext4", "-o", options, image, mountPoint)
        defer { _ = try? Subprocess.run(["timeout", "60", "umount", mountPoint]) }
        try body(mountPoint)
    }
}

/// Bytes that repeat nowhere soon, the same for the same seed.
func noise(_ count: Int, seed: UInt64) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 8)
    while bytes.count < count {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        for shift in stride(from: UInt64(0), to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: state >> shift))
        }
    }
    return Array(bytes.prefix(count))
}
