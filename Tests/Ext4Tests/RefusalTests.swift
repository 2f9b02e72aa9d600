// SPDX-License-Identifier: Apache-2.0

import Blocks
import Ext4
import Testing

/// What cannot be formatted is an error that names the file, or says what is missing.
struct RefusalTests {
    private func format(xattr name: String, _ value: [UInt8]) throws {
        var tree = FileTree()
        let xattr = Xattr(name: Array(name.utf8), value: value)
        let node = tree.addFile(FileTree.Attributes(mode: 0o644, xattrs: [xattr]), sizeBytes: 0, extents: [])
        let directory = tree.addDirectory(FileTree.Attributes(mode: 0o755))
        tree.link(directory, name: Array("dir".utf8), in: .root)
        tree.link(node, name: [0x1B, 0x41], in: directory)
        _ = try ChunkTable().format(tree)
    }

    @Test(arguments: [
        ("user.big", [UInt8](repeating: 1, count: 4080)), ("system.posix_acl_access", [2, 0, 0, 0, 9]),
        ("unknown.name", [1]), ("user.", [1]),
    ])
    func anAttributeThatDoesNotFitNamesItsFile(_ name: String, _ value: [UInt8]) {
        let error = #expect(throws: Ext4Error.self) { try format(xattr: name, value) }
        #expect(error?.description.contains("/dir/\\x1bA") == true)
    }

    @Test func aTreeThatIsTooLargeSaysHowMuchItNeeds() throws {
        let table = ChunkTable()
        let chunk = try #require(table.add(noise(65536, seed: 1)))
        var tree = FileTree()
        let extents = (0..<3000).map { FileTree.FileExtent(fileBlock: UInt32($0 * 16), chunk: chunk) }
        let file = tree.addFile(FileTree.Attributes(mode: 0o644), sizeBytes: 3000 << 16, extents: extents)
        tree.link(file, name: Array("f".utf8), in: .root)
        let error = #expect(throws: Ext4Error.self) {
            try table.format(tree, FormatOptions(sizeBytes: 128 << 20, journalBytes: 4 << 20))
        }
        guard case .doesNotFit(let needed, let size) = error else {
            Issue.record("not the expected error: \(String(describing: error))")
            return
        }
        #expect(size == 128 << 20 && needed > 3000 << 16)
        // What the error asks for is enough, but for the metadata of the additional groups.
        _ = try table.format(tree, FormatOptions(sizeBytes: needed + (4 << 20), journalBytes: 4 << 20))
    }

    @Test(arguments: [
        FormatOptions(sizeBytes: 4097), FormatOptions(sizeBytes: 1 << 45), FormatOptions(sizeBytes: 4096),
        FormatOptions(uuid: [1]), FormatOptions(label: "longer than sixteen bytes"),
        FormatOptions(journalBytes: 1), FormatOptions(bytesPerInode: 0),
    ])
    func optionsThatMakeNoSenseAreRefused(_ options: FormatOptions) {
        #expect(throws: Ext4Error.self) { try ChunkTable().format(FileTree(), options) }
    }
}
