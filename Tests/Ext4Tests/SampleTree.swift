// SPDX-License-Identifier: Apache-2.0

import Blocks
import Ext4

/// A tree with one of everything that is awkward.
struct SampleTree {
    var tree = FileTree()
    let table = ChunkTable()
    /// What was put in, by path: for comparison with what comes out.
    private(set) var expected: [[UInt8]: FileTree.NodeID] = [:]
    private(set) var contents: [[UInt8]: [UInt8]] = [:]

    init() {
        tree.setAttributes(of: .root, to: Self.attributes(0, mode: 0o755))
        addFiles()
        addSpecial()
        addNames()
        addXattrs()
    }

    static func attributes(_ index: Int, mode: UInt16, xattrs: [Xattr] = []) -> FileTree.Attributes {
        FileTree.Attributes(
            mode: mode, owner: UInt32(index) * 70_001, group: 4_000_000_000 - UInt32(index),
            modified: Timestamp(
                seconds: 1_600_000_000 + Int64(index), nanoseconds: 123_456_789 + UInt32(index)),
            accessed: Timestamp(seconds: 1_500_000_000, nanoseconds: 999_999_999),
            changed: Timestamp(seconds: 1_650_000_000, nanoseconds: 1), xattrs: xattrs)
    }

    mutating func link(_ node: FileTree.NodeID, _ name: String, in directory: FileTree.NodeID = .root) {
        link(node, Array(name.utf8), in: directory)
    }

    mutating func link(_ node: FileTree.NodeID, _ name: [UInt8], in directory: FileTree.NodeID = .root) {
        tree.link(node, name: name, in: directory)
        let prefix = tree.path(of: directory)
        expected[prefix.isEmpty ? name : prefix + [UInt8(ascii: "/")] + name] = node
    }

    mutating func addFile(_ name: String, _ content: [UInt8], mode: UInt16 = 0o644) {
        let extents = table.extents(of: content)
        let node = tree.addFile(
            Self.attributes(expected.count, mode: mode), sizeBytes: UInt64(content.count), extents: extents)
        link(node, name)
        contents[Array(name.utf8)] = content
    }

    private mutating func addFiles() {
        addFile("empty", [])
        addFile("one byte", [7], mode: 0o4755)
        addFile("a block", noise(4096, seed: 1), mode: 0o2711)
        addFile("odd", noise(200_001, seed: 2), mode: 0o1600)
        let holes = noise(70_000, seed: 3) + [UInt8](repeating: 0, count: 300_000) + noise(5000, seed: 4)
        addFile("holes", holes, mode: 0)
        addFile("only zeros", [UInt8](repeating: 0, count: 100_000))
        link(tree.addFile(Self.attributes(1, mode: 0o600), sizeBytes: 9 << 30, extents: []), "huge hole")
        let late = table.extents(of: noise(65536, seed: 5)).map {
            FileTree.FileExtent(fileBlock: 5 << 18, chunk: $0.chunk)
        }
        link(
            tree.addFile(Self.attributes(2, mode: 0o600), sizeBytes: 5 << 30 | 65536, extents: late),
            "late data")
    }

    private mutating func addSpecial() {
        let directory = tree.addDirectory(Self.attributes(3, mode: 0o3777))
        link(directory, "directory")
        link(tree.addDirectory(Self.attributes(4, mode: 0o700)), "empty directory", in: directory)
        let shared = tree.addFile(Self.attributes(5, mode: 0o640), sizeBytes: 0, extents: [])
        link(shared, "first name")
        link(shared, "second name", in: directory)
        link(shared, "third name", in: directory)
        for (index, length) in [1, 58, 59, 60, 61, 1000, 4095].enumerated() {
            let target = Array("t".utf8) + noise(length - 1, seed: UInt64(index)).map { $0 % 26 + 97 }
            link(tree.addSymlink(Self.attributes(index, mode: 0o777), target: target), "link \(length)")
        }
        for (index, device) in [(1, 3), (0, 0), (255, 255), (259, 70_000), (4095, 1_048_575)].enumerated() {
            let kind: FileKind = index % 2 == 0 ? .characterDevice : .blockDevice
            let node = tree.addDevice(
                Self.attributes(index, mode: 0o660), kind: kind, major: UInt32(device.0),
                minor: UInt32(device.1))
            link(node, "device \(index)", in: directory)
        }
        link(tree.addFifo(Self.attributes(6, mode: 0o622)), "fifo")
        link(tree.addSocket(Self.attributes(7, mode: 0o755)), "socket")
        for (index, seconds) in [-2_147_483_648, -1, 4_294_967_296, 15_032_385_535].enumerated() {
            var attributes = Self.attributes(index, mode: 0o644)
            attributes.modified = Timestamp(seconds: Int64(seconds), nanoseconds: 5)
            link(tree.addFile(attributes, sizeBytes: 0, extents: []), "time \(index)")
        }
    }

    private mutating func addNames() {
        let names: [[UInt8]] = [
            [UInt8](repeating: 0xFF, count: 255), [0x80], [0x0A], [0x1B, 0x5B], Array("lost+found".utf8),
            Array("...".utf8), Array(" ".utf8), Array("é日本".utf8),
            Array(repeating: UInt8(ascii: "x"), count: 255),
        ]
        let directory = tree.addDirectory(Self.attributes(8, mode: 0o755))
        link(directory, "names")
        for name in names {
            link(
                tree.addFile(Self.attributes(1, mode: 0o644), sizeBytes: 0, extents: []), name, in: directory)
        }
    }

    private mutating func addXattrs() {
        let capability: [UInt8] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
        let sets: [[(String, [UInt8])]] = [
            [("security.capability", capability)],
            [("user.empty", []), ("user.a", [1]), ("trusted.b", [1, 2, 3])],
            [("user.large", noise(3000, seed: 9)), ("user.z", [9]), ("user.yy", noise(77, seed: 1))],
            [("system.posix_acl_access", Self.acl)],
            [("system.posix_acl_access", Self.acl), ("system.posix_acl_default", Self.acl)],
            (0..<40).map { ("user.number\($0)", noise(20, seed: $0)) },
        ]
        for (index, set) in sets.enumerated() {
            let xattrs = set.map { Xattr(name: Array($0.0.utf8), value: $0.1) }
            let attributes = Self.attributes(index, mode: 0o674, xattrs: xattrs)
            let node =
                index == 4
                ? tree.addDirectory(attributes) : tree.addFile(attributes, sizeBytes: 0, extents: [])
            link(node, "xattr \(index)")
        }
    }

    /// user::rw-, user:1000:r--, group::r-x, mask::rwx, other::r--.
    static let acl: [UInt8] =
        [2, 0, 0, 0]
        + [1, 0, 6, 0, 255, 255, 255, 255] + [2, 0, 4, 0, 0xE8, 3, 0, 0] + [4, 0, 5, 0, 255, 255, 255, 255]
        + [16, 0, 7, 0, 255, 255, 255, 255] + [32, 0, 4, 0, 255, 255, 255, 255]
}
