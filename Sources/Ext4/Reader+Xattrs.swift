// SPDX-License-Identifier: Apache-2.0

import Blocks

extension Reader {
    /// The extended attributes of an inode, in the form of user space, sorted by name.
    public func xattrs(of inode: Inode) throws -> [Xattr] {
        var result: [Xattr] = []
        let user = "inode \(inode.number)"
        if inode.tail.count > 8, inode.tail.get(UInt32.self, at: 0) == Layout.xattrMagic {
            try Self.parse(inode.tail, from: 4, valueBase: 4, user, into: &result)
        }
        if inode.attributeBlock != 0 {
            let block = try block(inode.attributeBlock, user)
            guard block.get(UInt32.self, at: 0) == Layout.xattrMagic else {
                throw Ext4Error.damaged("the attribute block of inode \(inode.number)")
            }
            try Self.parse(block, from: 32, valueBase: 0, user, into: &result)
        }
        return result.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    private static func parse(
        _ bytes: [UInt8], from start: Int, valueBase: Int, _ user: String, into result: inout [Xattr]
    ) throws(Ext4Error) {
        let damaged = Ext4Error.damaged("an attribute of \(user)")
        var offset = start
        while offset + 4 <= bytes.count, bytes.get(UInt32.self, at: offset) != 0 {
            guard offset + 16 <= bytes.count else { throw damaged }
            let nameBytes = Int(bytes[offset])
            let place = valueBase + Int(bytes.get(UInt16.self, at: offset + 2))
            let count = Int(bytes.get(UInt32.self, at: offset + 8))
            if bytes.get(UInt32.self, at: offset + 4) != 0 {
                throw .unsupportedFeature("ea_inode, in \(user)")
            }
            guard offset + 16 + nameBytes <= bytes.count, place + count <= bytes.count else { throw damaged }
            let number = bytes[offset + 1]
            let name = Array(bytes[offset + 16..<offset + 16 + nameBytes])
            var value = Array(bytes[place..<place + count])
            guard let full = XattrNames.join(number, name) else { throw damaged }
            if number == XattrNames.accessACL || number == XattrNames.defaultACL {
                guard let acl = ACLForm.user(fromDisk: value) else { throw damaged }
                value = acl
            }
            result.append(Xattr(name: full, value: value))
            offset += 16 + (nameBytes + 3) & ~3
        }
    }
}
