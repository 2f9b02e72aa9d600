// SPDX-License-Identifier: Apache-2.0

import Ext4

/// One entry of a layer's tar that is written.
struct TarHeader {
    /// Without a leading slash; a directory's ends in one.
    var name: [UInt8]
    /// The type flag of ustar.
    var type: UInt8
    var mode: UInt32 = 0
    var owner: UInt32 = 0
    var group: UInt32 = 0
    var modified = Timestamp.zero
    var sizeBytes: UInt64 = 0
    var link: [UInt8] = []
    var device: (major: UInt32, minor: UInt32) = (0, 0)
    var xattrs: [Xattr] = []
    /// Of a file whose holes are left out; `sizeBytes` is then what the tar holds of it.
    var sparse: SparseMap?

    static let file = UInt8(ascii: "0")
    static let hardLink = UInt8(ascii: "1")
    static let symlink = UInt8(ascii: "2")
    static let characterDevice = UInt8(ascii: "3")
    static let blockDevice = UInt8(ascii: "4")
    static let directory = UInt8(ascii: "5")
    static let fifo = UInt8(ascii: "6")
    private static let extended = UInt8(ascii: "x")

    /// Bytes of a block of tar.
    static let blockBytes = 512
    private static let nameBytes = 100

    /// The header as POSIX.1-2017 has it ("pax Interchange Format"), an extended one before it where ustar's
    /// fields do not hold a value.
    ///
    /// It is made here and not by libarchive: a layer is named by the digest of these bytes, which must not
    /// change with a library's version or the locale; and names that are no UTF-8 go as they are, without the
    /// record that GNU tar warns of.
    var encoded: [UInt8] {
        let records = records
        if records.isEmpty { return ustar }
        let body = records.flatMap { Self.record($0.key, $0.value) }
        var header = TarHeader(name: Array("PaxHeaders/".utf8) + shortName, type: Self.extended, mode: 0o644)
        header.sizeBytes = UInt64(body.count)
        return header.ustar + body + Self.padding(body.count) + ustar
    }

    /// Zeros up to the next block.
    static func padding(_ count: Int) -> [UInt8] {
        [UInt8](repeating: 0, count: (blockBytes - count % blockBytes) % blockBytes)
    }

    private var shortName: [UInt8] {
        let parts = name.split(separator: UInt8(ascii: "/"))
        return Array((parts.last ?? []).prefix(Self.nameBytes - 20))
    }

    private var records: [(key: [UInt8], value: [UInt8])] {
        var records: [(key: [UInt8], value: [UInt8])] = []
        func add(_ key: String, _ value: [UInt8]) { records.append((Array(key.utf8), value)) }
        if name.count > Self.nameBytes { add("path", name) }
        if link.count > Self.nameBytes { add("linkpath", link) }
        if sizeBytes > Self.limit(11) { add("size", Array("\(sizeBytes)".utf8)) }
        if owner > Self.limit(7) { add("uid", Array("\(owner)".utf8)) }
        if group > Self.limit(7) { add("gid", Array("\(group)".utf8)) }
        if modified.nanoseconds > 0 || modified.seconds < 0 || modified.seconds > Self.limit(11) {
            add("mtime", Array(Self.decimal(modified).utf8))
        }
        if let sparse {
            add("GNU.sparse.major", Array("1".utf8))
            add("GNU.sparse.minor", Array("0".utf8))
            add("GNU.sparse.name", name)
            add("GNU.sparse.realsize", Array("\(sparse.sizeBytes)".utf8))
        }
        for xattr in xattrs { records.append((Array("SCHILY.xattr.".utf8) + xattr.name, xattr.value)) }
        return records
    }

    /// The largest number in so many octal digits.
    private static func limit(_ digits: Int) -> UInt64 { 1 << (3 * UInt64(digits)) - 1 }

    /// Seconds with a fraction; before 1970 the fraction counts downwards like the rest.
    private static func decimal(_ time: Timestamp) -> String {
        let isNegative = time.seconds < 0
        var seconds = time.seconds.magnitude
        var nanoseconds = time.nanoseconds
        if isNegative, nanoseconds > 0 {
            seconds -= 1
            nanoseconds = 1_000_000_000 - nanoseconds
        }
        let whole = (isNegative ? "-" : "") + "\(seconds)"
        if nanoseconds == 0 { return whole }
        let digits = String(nanoseconds)
        var fraction = String(repeating: "0", count: 9 - digits.count) + digits
        while fraction.hasSuffix("0") { fraction.removeLast() }
        return whole + "." + fraction
    }

    /// "LENGTH KEY=VALUE\n", where the length counts its own digits.
    private static func record(_ key: [UInt8], _ value: [UInt8]) -> [UInt8] {
        let rest = [0x20] + key + [UInt8(ascii: "=")] + value + [0x0A]
        var length = rest.count + 1
        while "\(length)".utf8.count + rest.count != length { length = "\(length)".utf8.count + rest.count }
        return Array("\(length)".utf8) + rest
    }

    private var ustar: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Self.blockBytes)
        func put(_ value: some Sequence<UInt8>, _ offset: Int) {
            for (index, byte) in value.enumerated() { bytes[offset + index] = byte }
        }
        /// What an extended record says stands here as 0.
        func octal(_ value: UInt64, _ digits: Int, _ offset: Int) {
            let text = String(value > Self.limit(digits) ? 0 : value, radix: 8)
            put((String(repeating: "0", count: digits - text.count) + text).utf8, offset)
        }
        put(name.prefix(Self.nameBytes), 0)
        octal(UInt64(mode), 7, 100)
        octal(UInt64(owner), 7, 108)
        octal(UInt64(group), 7, 116)
        octal(sizeBytes, 11, 124)
        octal(UInt64(max(0, modified.seconds)), 11, 136)
        bytes[156] = type
        put(link.prefix(Self.nameBytes), 157)
        put("ustar\u{0}00".utf8, 257)
        octal(UInt64(device.major), 7, 329)
        octal(UInt64(device.minor), 7, 337)
        put("        ".utf8, 148)
        let sum = bytes.reduce(UInt64(0)) { $0 + UInt64($1) }
        octal(sum, 6, 148)
        bytes[154] = 0
        return bytes
    }
}
