// SPDX-License-Identifier: Apache-2.0

/// The numbers that stand for the prefixes of attribute names on disk.
enum XattrNames {
    static let accessACL: UInt8 = 2
    static let defaultACL: UInt8 = 3

    /// ACLs have no name beyond their number.
    private static let whole: [(number: UInt8, name: [UInt8])] = [
        (accessACL, Array("system.posix_acl_access".utf8)),
        (defaultACL, Array("system.posix_acl_default".utf8)),
    ]
    private static let prefixes: [(number: UInt8, prefix: [UInt8])] = [
        (1, Array("user.".utf8)), (4, Array("trusted.".utf8)), (6, Array("security.".utf8)),
    ]

    /// Number and remaining name; nil for a name space that ext4 does not have.
    static func split(_ name: [UInt8]) -> (number: UInt8, rest: [UInt8])? {
        if let found = whole.first(where: { $0.name == name }) { return (found.number, []) }
        guard let found = prefixes.first(where: { name.starts(with: $0.prefix) }) else { return nil }
        let rest = Array(name.dropFirst(found.prefix.count))
        return (1...255).contains(rest.count) ? (found.number, rest) : nil
    }

    /// The full name; nil for a number that this module does not write.
    static func join(_ number: UInt8, _ rest: [UInt8]) -> [UInt8]? {
        if let found = whole.first(where: { $0.number == number }) { return rest.isEmpty ? found.name : nil }
        return prefixes.first { $0.number == number }.map { $0.prefix + rest }
    }
}

/// POSIX ACLs in the two forms they have: what `setxattr` takes, and what ext4 keeps.
enum ACLForm {
    private static let userVersion: UInt32 = 2
    private static let diskVersion: UInt32 = 1
    /// Entries that name a user or a group have an id; the others have none on disk.
    private static let namedTags: Set<UInt16> = [0x02, 0x08]
    private static let unnamedTags: Set<UInt16> = [0x01, 0x04, 0x10, 0x20]
    private static let noID: UInt32 = 0xFFFF_FFFF

    /// From the form of user space; nil when the bytes are no ACL.
    static func disk(fromUser value: [UInt8]) -> [UInt8]? {
        guard value.count >= 4, value.count % 8 == 4, value.get(UInt32.self, at: 0) == userVersion else {
            return nil
        }
        var result = [UInt8](zeros: 4)
        result.put(diskVersion, at: 0)
        for offset in stride(from: 4, to: value.count, by: 8) {
            let tag = value.get(UInt16.self, at: offset)
            if namedTags.contains(tag) {
                result += value[offset..<offset + 8]
            } else if unnamedTags.contains(tag) {
                result += value[offset..<offset + 4]
            } else {
                return nil
            }
        }
        return result
    }

    /// To the form of user space; nil when the bytes are no ACL.
    static func user(fromDisk value: [UInt8]) -> [UInt8]? {
        guard value.count >= 4, value.get(UInt32.self, at: 0) == diskVersion else { return nil }
        var result = [UInt8](zeros: 4)
        result.put(userVersion, at: 0)
        var offset = 4
        while offset < value.count {
            guard offset + 4 <= value.count else { return nil }
            let tag = value.get(UInt16.self, at: offset)
            if namedTags.contains(tag) {
                guard offset + 8 <= value.count else { return nil }
                result += value[offset..<offset + 8]
                offset += 8
            } else if unnamedTags.contains(tag) {
                var id = [UInt8](zeros: 4)
                id.put(noID, at: 0)
                result += value[offset..<offset + 4] + id
                offset += 4
            } else {
                return nil
            }
        }
        return result
    }
}
