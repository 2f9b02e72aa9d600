// SPDX-License-Identifier: Apache-2.0

import CArchive
import Ext4

/// Takes the fields out of libarchive's entry and checks their ranges.
enum EntryFields {
    /// ext4's largest file is one block short of 16 TiB.
    private static let fileLimitBytes: UInt64 = (1 << 44) - 4096

    static func name(_ entry: OpaquePointer) -> [UInt8] {
        archive_entry_pathname(entry).map(bytes) ?? []
    }

    static func kind(_ entry: OpaquePointer) throws(BadField) -> TarEntry.Kind {
        if let target = archive_entry_hardlink(entry) { return .hardLink(target: bytes(target)) }
        switch UInt32(archive_entry_filetype(entry)) & 0o170000 {
        case 0o100000:
            let size = archive_entry_size(entry)
            if size < 0 { throw BadField("its size is negative") }
            if UInt64(size) > fileLimitBytes {
                throw BadField("its size of \(size) bytes is more than a file can have")
            }
            return .file(sizeBytes: UInt64(size))
        case 0o040000: return .directory
        case 0o120000: return .symlink(target: try symlinkTarget(entry))
        case 0o020000: return try device(.characterDevice, entry)
        case 0o060000: return try device(.blockDevice, entry)
        case 0o010000: return .fifo
        case 0o140000: return .socket
        default: throw BadField("it is of a kind that no file system has")
        }
    }

    static func attributes(_ entry: OpaquePointer) throws(BadField) -> FileTree.Attributes {
        let modified = try timestamp(archive_entry_mtime(entry), archive_entry_mtime_nsec(entry))
        var accessed = modified
        if archive_entry_atime_is_set(entry) != 0 {
            accessed = try timestamp(archive_entry_atime(entry), archive_entry_atime_nsec(entry))
        }
        var changed = modified
        if archive_entry_ctime_is_set(entry) != 0 {
            changed = try timestamp(archive_entry_ctime(entry), archive_entry_ctime_nsec(entry))
        }
        var attributes = FileTree.Attributes(
            mode: UInt16(archive_entry_perm(entry) & 0o7777),
            owner: try identifier(archive_entry_uid(entry), "owner"),
            group: try identifier(archive_entry_gid(entry), "group"),
            modified: modified, accessed: accessed, changed: changed)
        attributes.xattrs = try EntryXattrs.read(entry, mode: &attributes.mode)
        return attributes
    }

    private static func symlinkTarget(_ entry: OpaquePointer) throws(BadField) -> [UInt8] {
        let target = archive_entry_symlink(entry).map(bytes) ?? []
        if target.isEmpty { throw BadField("it is a symbolic link without a target") }
        if target.count > FileTree.maximumTargetBytes {
            throw BadField(
                "the target of the symbolic link is longer than \(FileTree.maximumTargetBytes) bytes")
        }
        return target
    }

    private static func device(_ kind: FileKind, _ entry: OpaquePointer) throws(BadField) -> TarEntry.Kind {
        let major = UInt64(archive_entry_rdevmajor(entry))
        let minor = UInt64(archive_entry_rdevminor(entry))
        if major >= 1 << 12 || minor >= 1 << 20 { throw BadField("its device number is out of range") }
        return .device(kind, major: UInt32(major), minor: UInt32(minor))
    }

    private static func identifier(_ value: la_int64_t, _ what: String) throws(BadField) -> UInt32 {
        guard let identifier = UInt32(exactly: value) else {
            throw BadField("its \(what) \(value) is out of range")
        }
        return identifier
    }

    private static func timestamp(_ seconds: Int, _ nanoseconds: Int) throws(BadField) -> Timestamp {
        guard (0..<1_000_000_000).contains(nanoseconds) else { throw BadField("one of its times is invalid") }
        return Timestamp(seconds: Int64(seconds), nanoseconds: UInt32(nanoseconds))
    }

    static func bytes(_ text: UnsafePointer<CChar>) -> [UInt8] {
        let bytes = UnsafeRawPointer(text)
        var count = 0
        while bytes.load(fromByteOffset: count, as: UInt8.self) != 0 { count += 1 }
        return Array(UnsafeRawBufferPointer(start: bytes, count: count))
    }
}

/// Extended attributes and ACLs of an entry.
enum EntryXattrs {
    private static let valueLimitBytes = 65536
    private static let aclNames = ["system.posix_acl_access", "system.posix_acl_default"].map {
        Array($0.utf8)
    }
    private static let userPrefix = Array("user.".utf8)
    private static let prefixes = ["user.", "trusted.", "security."].map { Array($0.utf8) }
    /// What overlay file systems keep for themselves must not come from an image.
    private static let overlayPrefix = Array("trusted.overlay.".utf8)

    /// - Parameter mode: gets the group bits that go with an ACL: those of its mask.
    static func read(_ entry: OpaquePointer, mode: inout UInt16) throws(BadField) -> [Xattr] {
        var xattrs: [Xattr] = []
        let kind = UInt32(archive_entry_filetype(entry)) & 0o170000
        let takesUser = kind == 0o100000 || kind == 0o040000
        archive_entry_xattr_reset(entry)
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var count = 0
        while archive_entry_xattr_next(entry, &name, &value, &count) == ARCHIVE_OK {
            guard let name else { continue }
            let nameBytes = EntryFields.bytes(name)
            if !isKept(nameBytes) || nameBytes.starts(with: userPrefix) && !takesUser { continue }
            if nameBytes.count > 255 || count > valueLimitBytes {
                throw BadField("its extended attribute \(printable(nameBytes)) is too long")
            }
            xattrs.removeAll { $0.name == nameBytes }
            xattrs.append(
                Xattr(name: nameBytes, value: Array(UnsafeRawBufferPointer(start: value, count: count))))
        }
        for (name, type) in zip(aclNames, [ARCHIVE_ENTRY_ACL_TYPE_ACCESS, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT]) {
            if xattrs.contains(where: { $0.name == name }) { continue }
            guard let acl = AccessControlList(entry, type: type) else { continue }
            if type == ARCHIVE_ENTRY_ACL_TYPE_ACCESS { mode = acl.applied(to: mode) }
            xattrs.append(Xattr(name: name, value: acl.encoded))
        }
        return xattrs.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    /// Names outside of Linux's namespaces come from other systems; the kernel would refuse them too.
    private static func isKept(_ name: [UInt8]) -> Bool {
        if name.starts(with: overlayPrefix) { return false }
        return aclNames.contains(name) || prefixes.contains { name.starts(with: $0) && name.count > $0.count }
    }
}

/// A POSIX ACL that a tar holds as text, in the form that `getxattr` gives (linux/posix_acl_xattr.h).
struct AccessControlList {
    private struct Entry {
        let tag: UInt16
        let permissions: UInt16
        let identifier: UInt32
    }

    private static let maskTag: UInt16 = 0x10
    private var entries: [Entry] = []

    /// nil when there is none, or when it names users whose numbers the tar does not tell.
    init?(_ entry: OpaquePointer, type: Int32) {
        if archive_entry_acl_reset(entry, type) == 0 { return nil }
        var entryType: Int32 = 0
        var permissions: Int32 = 0
        var tag: Int32 = 0
        var qualifier: Int32 = 0
        var name: UnsafePointer<CChar>?
        while archive_entry_acl_next(entry, type, &entryType, &permissions, &tag, &qualifier, &name)
            == ARCHIVE_OK
        {
            let linuxTag: UInt16
            switch tag {
            case ARCHIVE_ENTRY_ACL_USER_OBJ: linuxTag = 0x01
            case ARCHIVE_ENTRY_ACL_USER: linuxTag = 0x02
            case ARCHIVE_ENTRY_ACL_GROUP_OBJ: linuxTag = 0x04
            case ARCHIVE_ENTRY_ACL_GROUP: linuxTag = 0x08
            case ARCHIVE_ENTRY_ACL_MASK: linuxTag = Self.maskTag
            case ARCHIVE_ENTRY_ACL_OTHER: linuxTag = 0x20
            default: return nil
            }
            let isNamed = linuxTag == 0x02 || linuxTag == 0x08
            if isNamed && qualifier < 0 { return nil }
            entries.append(
                Entry(
                    tag: linuxTag, permissions: UInt16(permissions & 7),
                    identifier: isNamed ? UInt32(qualifier) : UInt32.max))
        }
        if entries.isEmpty { return nil }
        entries.sort { ($0.tag, $0.identifier) < ($1.tag, $1.identifier) }
    }

    /// The group bits of a file with an ACL are the mask.
    func applied(to mode: UInt16) -> UInt16 {
        guard let mask = entries.first(where: { $0.tag == Self.maskTag }) else { return mode }
        return mode & ~0o070 | mask.permissions << 3
    }

    var encoded: [UInt8] {
        var bytes: [UInt8] = [2, 0, 0, 0]
        for entry in entries {
            bytes += [UInt8(truncatingIfNeeded: entry.tag), UInt8(entry.tag >> 8)]
            bytes += [UInt8(truncatingIfNeeded: entry.permissions), UInt8(entry.permissions >> 8)]
            for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: entry.identifier >> shift)) }
        }
        return bytes
    }
}
