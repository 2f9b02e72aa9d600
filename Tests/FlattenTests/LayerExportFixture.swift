// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Ext4
import Flatten
import Glibc
import OCI
import Testing

/// Blocks of a map in a store, and which of them were read.
final class StoredBlocks: BlockReader {
    let map: BlockMap
    private let store: ChunkStore
    private(set) var readBlocks: Set<UInt32> = []

    init(_ map: BlockMap, _ store: ChunkStore) { (self.map, self.store) = (map, store) }

    func read(block: UInt32) throws -> [UInt8] {
        readBlocks.insert(block)
        guard let place = map.chunk(at: block) else { return [UInt8](repeating: 0, count: Block.bytes) }
        let bytes = try store.read(place.chunk)
        let start = Int(place.offset) * Block.bytes
        return Array(bytes[start..<start + Block.bytes])
    }
}

/// What `stat`, `listxattr` and `read` would tell of one name.
struct TreeItem: Equatable, CustomStringConvertible {
    var mode: UInt16
    var owner: UInt32
    var group: UInt32
    var modified: Timestamp
    var sizeBytes: UInt64
    var content: Digest?
    var target: [UInt8]
    var device: [UInt32]
    var xattrs: [Xattr]
    /// All names of the inode.
    var links: [[UInt8]]

    var description: String {
        "mode \(String(mode, radix: 8)) owner \(owner):\(group) "
            + "mtime \(modified.seconds).\(modified.nanoseconds) size \(sizeBytes) "
            + "content \(content?.hex.prefix(8) ?? "-") target \(target.count) device \(device) "
            + "xattrs \(xattrs.map { String(decoding: $0.name, as: UTF8.self) }) links \(links.count)"
    }
}

extension Fixture {
    func tree(_ map: BlockMap, name: String = "tree") throws -> ExportTree {
        try ExportTree(name, blocks: StoredBlocks(map, store), map: map)
    }

    /// Everything that is seen of a volume, sockets aside.
    func items(_ map: BlockMap) throws -> [[UInt8]: TreeItem] {
        let reader = try Reader(StoredBlocks(map, store))
        var items: [[UInt8]: TreeItem] = [:]
        var names: [UInt32: [[UInt8]]] = [:]
        try reader.walk { path, inode in
            if inode.kind == .socket { return }
            var item = TreeItem(
                mode: inode.mode, owner: inode.owner, group: inode.group, modified: inode.modified,
                sizeBytes: inode.kind == .directory ? 0 : inode.sizeBytes, target: [],
                device: [inode.device.major, inode.device.minor], xattrs: try reader.xattrs(of: inode),
                links: [])
            if inode.kind == .file { item.content = try contentDigest(inode, reader) }
            if inode.kind == .symlink { item.target = try reader.target(of: inode) }
            if inode.kind != .directory { names[inode.number, default: []].append(path) }
            items[path] = item
        }
        for group in names.values where group.count > 1 {
            for name in group {
                items[name]?.links = group.sorted { $0.lexicographicallyPrecedes($1) }
            }
        }
        return items
    }

    /// Of what is no hole and not zeros, with its place: files may be large.
    private func contentDigest(_ inode: Inode, _ reader: Reader) throws -> Digest {
        var hasher = DigestHasher()
        for run in try reader.runs(of: inode) where run.isWritten {
            for index in 0..<run.count {
                let offset = UInt64(run.fileBlock + index) * UInt64(Block.bytes)
                let bytes = try reader.read(inode, at: offset, count: Block.bytes)
                if bytes.allSatisfy({ $0 == 0 }) { continue }
                hasher.update(Array("\(offset):".utf8) + bytes)
            }
        }
        return hasher.digest()
    }

    func export(
        base: BlockMap?, top: BlockMap, _ options: LayerExport.Options = .init(compression: .none)
    ) throws -> (layer: ExportedLayer, bytes: [UInt8]) {
        let file = try File(open: path + "/exported", O_RDWR | O_CREAT | O_TRUNC)
        let layer = try LayerExport.run(
            base: try base.map { try tree($0, name: "base") }, top: try tree(top, name: "top"),
            options: options, to: file)
        let bytes = try file.read(count: Int(try file.size()), at: 0)
        #expect(layer.sizeBytes == UInt64(bytes.count))
        #expect(layer.digest == Digest(hashing: bytes))
        return (layer, bytes)
    }

    func expectEqual(
        _ actual: BlockMap, _ expected: BlockMap, sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let (left, right) = (try items(actual), try items(expected))
        for name in Set(left.keys).union(right.keys) where left[name] != right[name] {
            let text = String(decoding: name, as: UTF8.self)
            let (actual, expected) = (left[name]?.description, right[name]?.description)
            Issue.record(
                "\(text): is \(actual ?? "gone"), expected \(expected ?? "gone")",
                sourceLocation: sourceLocation)
        }
    }

    /// Exports what the top layers add to the base ones; on the base it must show the same tree.
    @discardableResult
    func expectExport(
        base: [[UInt8]], top: [[UInt8]], sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> [UInt8] {
        let lower = try flatten(Self.image(base)).map
        let whole = try flatten(Self.image(base + top)).map
        let (layer, bytes) = try export(base: lower, top: whole)
        #expect(try export(base: lower, top: whole).bytes == bytes, sourceLocation: sourceLocation)
        #expect(layer.diffID == layer.digest)
        try expectEqual(
            try flatten(Self.image(base + [bytes])).map, whole, sourceLocation: sourceLocation)
        // The other opinion: the kernel's overlay of what Python unpacks.
        try expectUnion(base + [bytes], sourceLocation: sourceLocation)
        let all = try export(base: nil, top: whole).bytes
        try expectEqual(try flatten(Self.image([all])).map, whole, sourceLocation: sourceLocation)
        return bytes
    }

    /// Names in a tar, by GNU tar, which must have nothing to say against it.
    func names(in bytes: [UInt8]) throws -> [String] {
        let file = try write(bytes, as: "listed.tar")
        let result = try Subprocess.run(["timeout", "60", "tar", "-tf", file])
        #expect(result.succeeded && result.errors.isEmpty, "\(result.errors)")
        return result.output.split(separator: "\n").map(String.init)
    }

    // MARK: Volumes that the kernel wrote to

    /// Cuts a file into chunks, each 64 KiB one.
    func cut(_ image: String) throws -> BlockMap {
        let file = try File(open: image, O_RDONLY)
        let blocks = UInt32(try file.size() / UInt64(Block.bytes))
        var builder = BlockMapBuilder(blockCount: blocks)
        let session = store.beginIngest()
        for start in stride(from: 0, to: blocks, by: Block.maximumPerChunk) {
            let count = min(UInt32(Block.maximumPerChunk), blocks - start)
            let bytes = try file.read(
                count: Int(count) * Block.bytes, at: UInt64(start) * UInt64(Block.bytes))
            guard let chunk = try bytes.withUnsafeBytes({ try session.add($0) }) else { continue }
            builder.add(start: start, chunk: chunk, count: UInt8(count))
        }
        try session.commit()
        return builder.finish()
    }

    /// The volume before and after a script has run in its mounted root.
    func changed(_ layers: [[UInt8]], by script: String) throws -> (before: BlockMap, after: BlockMap) {
        let image = try writeImage(try flatten(Self.image(layers)).map)
        let before = try cut(image)
        _ = try write(Array(script.utf8), as: "script")
        try shell(
            """
            mkdir -p mounted; timeout 100 unshare -m sh -euc 'mount --make-rprivate /
            mount -o loop \(image) mounted; (cd mounted; sh -eu ../script); umount mounted'
            """)
        return (before, try cut(image))
    }
}
