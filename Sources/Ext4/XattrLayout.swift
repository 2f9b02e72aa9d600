// SPDX-License-Identifier: Apache-2.0

import Blocks

/// How the attributes of one inode are spread over the inode's tail and one block.
struct XattrLayout {
    /// Bytes after an inode's fields.
    static let bodyBytes = Layout.inodeBytes - 128 - Layout.extraInodeBytes
    private static let blockHeaderBytes = 32

    private struct Item {
        let number: UInt8
        let name: [UInt8]
        let value: [UInt8]

        var entryBytes: Int { 16 + (name.count + 3) & ~3 }
        var valueBytes: Int { (value.count + 3) & ~3 }

        /// The order that the kernel's search in a block relies on.
        static func isBefore(_ left: Item, _ right: Item) -> Bool {
            if left.number != right.number { return left.number < right.number }
            if left.name.count != right.name.count { return left.name.count < right.name.count }
            return left.name.lexicographicallyPrecedes(right.name)
        }

        /// `ext4_xattr_hash_entry` of the kernel.
        var hash: UInt32 {
            var hash: UInt32 = 0
            for byte in name { hash = hash << 5 ^ hash >> 27 ^ UInt32(byte) }
            let padded = value + [UInt8](zeros: valueBytes - value.count)
            for offset in stride(from: 0, to: padded.count, by: 4) {
                hash = hash << 16 ^ hash >> 16 ^ padded.get(UInt32.self, at: offset)
            }
            return hash
        }
    }

    /// What follows the inode's fields: empty, or `bodyBytes` long.
    let body: [UInt8]
    private let spilled: [Item]

    /// Whether a block is needed for what the inode has no room for.
    var needsBlock: Bool { !spilled.isEmpty }

    /// - Throws: why ext4 cannot hold the attributes, for the caller to name the file.
    init(_ xattrs: [Xattr]) throws(Failure) {
        var items: [Item] = []
        for xattr in xattrs { items.append(try Self.item(xattr)) }
        items.sort(by: Item.isBefore)
        for (left, right) in zip(items, items.dropFirst())
        where left.number == right.number && left.name == right.name {
            throw Failure(reason: "it has an attribute twice")
        }
        var inside: [Item] = []
        var outside: [Item] = []
        var room = Self.bodyBytes - 8
        for item in items {
            if item.entryBytes + item.valueBytes <= room {
                room -= item.entryBytes + item.valueBytes
                inside.append(item)
            } else {
                outside.append(item)
            }
        }
        let needed = outside.reduce(Self.blockHeaderBytes + 4) { $0 + $1.entryBytes + $1.valueBytes }
        if needed > Block.bytes {
            throw Failure(reason: "its extended attributes take \(needed) bytes of at most \(Block.bytes)")
        }
        body = inside.isEmpty ? [] : Self.body(inside)
        spilled = outside
    }

    /// Why attributes have no place.
    struct Failure: Error {
        let reason: String
    }

    /// The attribute block for its place in the volume; the place is part of its checksum.
    func block(at number: UInt32, seed: ChecksumSeed) -> [UInt8] {
        var block = [UInt8](zeros: Block.bytes)
        block.put(Layout.xattrMagic, at: 0)
        block.put(UInt32(1), at: 4)
        block.put(UInt32(1), at: 8)
        var hash: UInt32 = 0
        for item in spilled { hash = hash << 16 ^ hash >> 16 ^ item.hash }
        // A hash of zero in any entry tells the kernel not to share the block.
        block.put(spilled.contains { $0.hash == 0 } ? 0 : hash, at: 12)
        Self.fill(&block, spilled, from: Self.blockHeaderBytes, offsetBase: 0, hashed: true)
        block.put(seed.block(UInt64(number)).checksum(block.span), at: 16)
        return block
    }

    private static func body(_ items: [Item]) -> [UInt8] {
        var body = [UInt8](zeros: bodyBytes)
        body.put(Layout.xattrMagic, at: 0)
        fill(&body, items, from: 4, offsetBase: 4, hashed: false)
        return body
    }

    /// Entries grow from the front, values from the end; value offsets count from `offsetBase`.
    private static func fill(
        _ bytes: inout [UInt8], _ items: [Item], from start: Int, offsetBase: Int, hashed: Bool
    ) {
        var entry = start
        var end = bytes.count
        for item in items {
            end -= item.valueBytes
            bytes[entry] = UInt8(item.name.count)
            bytes[entry + 1] = item.number
            bytes.put(UInt16(item.value.isEmpty ? 0 : end - offsetBase), at: entry + 2)
            bytes.put(UInt32(item.value.count), at: entry + 8)
            bytes.put(hashed ? item.hash : 0, at: entry + 12)
            bytes.put(item.name, at: entry + 16)
            bytes.put(item.value, at: end)
            entry += item.entryBytes
        }
    }

    private static func item(_ xattr: Xattr) throws(Failure) -> Item {
        guard let (number, name) = XattrNames.split(xattr.name) else {
            throw Failure(
                reason: "it has no place for the attribute \(Ext4Error.printable(xattr.name).dropFirst())")
        }
        guard number == XattrNames.accessACL || number == XattrNames.defaultACL else {
            return Item(number: number, name: name, value: xattr.value)
        }
        guard let value = ACLForm.disk(fromUser: xattr.value) else {
            throw Failure(reason: "its access control list is malformed")
        }
        return Item(number: number, name: name, value: value)
    }
}
