// SPDX-License-Identifier: Apache-2.0

import Base

/// Where the members of a plain tar file lie, so that they can be read in any order without unpacking.
///
/// Reads ustar (POSIX 1003.1-1988), GNU long names and pax `path` and `size` records: what `docker save`, skopeo
/// and buildah write. It is for the outer archive of an image only; layers are read elsewhere.
struct TarIndex: Sendable {
    struct Member: Sendable {
        let offset: UInt64
        let sizeBytes: UInt64
    }

    private enum Entry {
        case file(Member)
        case link(String)
    }

    private static let headerBytes = 512
    private static let memberLimit = 65536
    private static let extensionLimitBytes = 1 << 20

    private let path: String
    private var entries: [String: Entry] = [:]

    init(scanning file: File) throws(OCIError) {
        path = file.path
        try refuseCompressed(file)
        let end = try sizeBytes(file)
        var offset: UInt64 = 0
        var pending = PendingAttributes()
        while offset + UInt64(Self.headerBytes) <= end {
            let header = try readBytes(file, offset, Self.headerBytes)
            if header.allSatisfy({ $0 == 0 }) { return }
            try checkSum(header, offset)
            let type = header[156]
            // The size of an extension header is its own; a pax record speaks of the member that follows.
            let isExtension = [UInt8(ascii: "L"), UInt8(ascii: "K"), UInt8(ascii: "x"), UInt8(ascii: "g")]
                .contains(type)
            let announced = isExtension ? nil : pending.sizeBytes
            let size = if let announced { announced } else { try number(header[124..<136], offset) }
            let start = offset + UInt64(Self.headerBytes)
            if size > end - start {
                throw .badArchive(path, reason: "it ends inside the member at byte \(offset)")
            }
            if isExtension {
                try read(extension: type, file, start, size, into: &pending)
            } else {
                try add(header, type, Member(offset: start, sizeBytes: size), pending)
                pending = PendingAttributes()
            }
            let blocks = size / UInt64(Self.headerBytes) + (size % UInt64(Self.headerBytes) == 0 ? 0 : 1)
            offset = start + blocks * UInt64(Self.headerBytes)
        }
        if entries.isEmpty { throw .badArchive(path, reason: "it is not a tar file") }
        throw .badArchive(path, reason: "it ends without the mark of its end; it is truncated")
    }

    /// The member, found through symbolic and hard links inside the archive; nil when there is none.
    func member(_ name: String) -> Member? {
        var current = Self.normalized(name)
        for _ in 0..<8 {
            switch entries[current] {
            case .file(let member): return member
            case .link(let target): current = target
            case nil: return nil
            }
        }
        return nil
    }

    // MARK: - Headers

    private struct PendingAttributes {
        var name: String?
        var linkName: String?
        var sizeBytes: UInt64?
    }

    private mutating func add(
        _ header: [UInt8], _ type: UInt8, _ member: Member, _ pending: PendingAttributes
    ) throws(OCIError) {
        if entries.count >= Self.memberLimit {
            throw .badArchive(path, reason: "it has more than \(Self.memberLimit) members")
        }
        let name = Self.normalized(pending.name ?? Self.name(of: header))
        let link = pending.linkName ?? Self.text(header[157..<257])
        switch type {
        case 0, UInt8(ascii: "0"), UInt8(ascii: "7"): entries[name] = .file(member)
        case UInt8(ascii: "1"): entries[name] = .link(Self.normalized(link))
        case UInt8(ascii: "2"):
            let directory = name.split(separator: "/").dropLast().joined(separator: "/")
            entries[name] = .link(Self.normalized(link.hasPrefix("/") ? link : directory + "/" + link))
        default: break
        }
    }

    private func read(
        extension type: UInt8, _ file: File, _ offset: UInt64, _ size: UInt64,
        into pending: inout PendingAttributes
    ) throws(OCIError) {
        if size > UInt64(Self.extensionLimitBytes) {
            throw .badArchive(path, reason: "the extended header at byte \(offset) has \(size) bytes")
        }
        let bytes = try readBytes(file, offset, Int(size))
        switch type {
        case UInt8(ascii: "L"): pending.name = Self.text(bytes[...])
        case UInt8(ascii: "K"): pending.linkName = Self.text(bytes[...])
        case UInt8(ascii: "x"): try readRecords(bytes, offset, into: &pending)
        default: break
        }
    }

    /// Pax records: decimal length, space, key, equals sign, value, newline; the length counts all of it.
    private func readRecords(
        _ bytes: [UInt8], _ offset: UInt64, into pending: inout PendingAttributes
    ) throws(OCIError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard let space = rest.firstIndex(of: UInt8(ascii: " ")),
                let length = Int(String(decoding: rest[..<space], as: UTF8.self)),
                length > space - rest.startIndex + 1, length <= rest.count,
                let equals = rest[space..<rest.startIndex + length].firstIndex(of: UInt8(ascii: "="))
            else { throw .badArchive(path, reason: "the extended header at byte \(offset) is malformed") }
            let end = rest.startIndex + length
            let value = String(decoding: rest[(equals + 1)..<(end - 1)], as: UTF8.self)
            switch String(decoding: rest[(space + 1)..<equals], as: UTF8.self) {
            case "path": pending.name = value
            case "linkpath": pending.linkName = value
            case "size":
                guard let size = UInt64(value), size <= UInt64(Int64.max) else {
                    throw .badArchive(
                        path, reason: "the extended header at byte \(offset) has an impossible size")
                }
                pending.sizeBytes = size
            default: break
            }
            rest = rest[end...]
        }
    }

    private func checkSum(_ header: [UInt8], _ offset: UInt64) throws(OCIError) {
        var sum: UInt64 = 8 * 0x20
        for (index, byte) in header.enumerated() where !(148..<156).contains(index) { sum += UInt64(byte) }
        if try number(header[148..<156], offset) != sum {
            let reason = offset == 0 ? "it is not a tar file" : "the header at byte \(offset) is damaged"
            throw .badArchive(path, reason: reason)
        }
    }

    /// Octal digits between blanks, or GNU's base 256 with the top bit of the first byte set.
    private func number(_ field: ArraySlice<UInt8>, _ offset: UInt64) throws(OCIError) -> UInt64 {
        var value: UInt64 = 0
        if let first = field.first, first & 0x80 != 0 {
            if first & 0x40 != 0 {
                throw .badArchive(path, reason: "the header at byte \(offset) has a negative number")
            }
            for (index, byte) in field.enumerated() {
                if value >> 55 != 0 {
                    throw .badArchive(path, reason: "the header at byte \(offset) has an impossible size")
                }
                value = value << 8 | UInt64(index == 0 ? byte & 0x3F : byte)
            }
            return value
        }
        let digits = field.drop { $0 == 0x20 }.prefix { $0 != 0x20 && $0 != 0 }
        for digit in digits {
            if !(UInt8(ascii: "0")...UInt8(ascii: "7")).contains(digit) {
                throw .badArchive(
                    path,
                    reason: offset == 0 ? "it is not a tar file" : "the header at byte \(offset) is damaged")
            }
            value = value << 3 | UInt64(digit - UInt8(ascii: "0"))
        }
        return value
    }

    private static func name(of header: [UInt8]) -> String {
        let name = text(header[0..<100])
        let isUSTAR = header[257..<263].elementsEqual(Array("ustar\0".utf8))
        let prefix = isUSTAR ? text(header[345..<500]) : ""
        return prefix.isEmpty ? name : prefix + "/" + name
    }

    private static func text(_ field: ArraySlice<UInt8>) -> String {
        String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
    }

    /// The name without `.`, `..` and doubled slashes; `..` at the root stays there.
    private static func normalized(_ name: String) -> String {
        var parts: [Substring] = []
        for part in name.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return parts.joined(separator: "/")
    }

    // MARK: - File access

    private func refuseCompressed(_ file: File) throws(OCIError) {
        let compression = LayerCompression(sniffing: try readPrefix(file, 16))
        if compression != .none {
            let reason =
                "it is compressed with \(compression.rawValue); members are read by position: decompress it first"
            throw .badArchive(path, reason: reason)
        }
    }

    private func readBytes(_ file: File, _ offset: UInt64, _ count: Int) throws(OCIError) -> [UInt8] {
        let bytes = try mapped { () throws(SystemError) in try file.read(count: count, at: offset) }
        if bytes.count < count { throw .badArchive(path, reason: "it became shorter while it was read") }
        return bytes
    }
}

/// The first bytes of a file, fewer where it is shorter.
func readPrefix(_ file: File, _ count: Int) throws(OCIError) -> [UInt8] {
    try mapped { () throws(SystemError) in try file.read(count: count, at: 0) }
}

func sizeBytes(_ file: File) throws(OCIError) -> UInt64 {
    try mapped { () throws(SystemError) in try file.size() }
}

/// Runs file operations and turns their errors into this module's.
func mapped<T>(_ body: () throws(SystemError) -> T) throws(OCIError) -> T {
    do throws(SystemError) { return try body() } catch { throw .system(error) }
}
