// SPDX-License-Identifier: Apache-2.0

/// Writes tar files field by field, also ones that no tool would write.
struct TarBuilder {
    private(set) var bytes: [UInt8] = []

    /// One entry; a pax header goes before it when a field needs one.
    struct Entry {
        var name: [UInt8]
        var type: Character = "0"
        var mode: UInt32 = 0o644
        var owner: UInt64 = 0
        var group: UInt64 = 0
        var seconds: Int = 1_700_000_000
        var nanoseconds: Int = 0
        var link: [UInt8] = []
        var device: (major: Int, minor: Int) = (0, 0)
        var pax: [(key: String, value: [UInt8])] = []
        var data: [UInt8] = []
        /// Of the header, where it is to differ from the data's.
        var sizeField: [UInt8]?

        init(_ name: String, _ type: Character = "0") {
            self.name = Array(name.utf8)
            self.type = type
        }
    }

    mutating func add(_ entry: Entry) {
        var records = entry.pax
        if entry.name.count > 100 { records.append(("path", entry.name)) }
        if entry.link.count > 100 { records.append(("linkpath", entry.link)) }
        if entry.nanoseconds > 0 || entry.seconds < 0 {
            let fraction = String(entry.nanoseconds)
            let digits = String(repeating: "0", count: 9 - fraction.count) + fraction
            records.append(("mtime", Array("\(entry.seconds).\(digits)".utf8)))
        }
        if entry.owner > 0o7777777 { records.append(("uid", Array("\(entry.owner)".utf8))) }
        if entry.group > 0o7777777 { records.append(("gid", Array("\(entry.group)".utf8))) }
        if !records.isEmpty { addPax(records) }
        append(header(entry), entry.data)
    }

    private mutating func addPax(_ records: [(key: String, value: [UInt8])]) {
        var body: [UInt8] = []
        for (key, value) in records {
            let rest = Array(" \(key)=".utf8) + value + [0x0A]
            var length = rest.count + 1
            while "\(length)".utf8.count + rest.count != length {
                length = "\(length)".utf8.count + rest.count
            }
            body += Array("\(length)".utf8) + rest
        }
        var entry = Entry("pax", "x")
        entry.data = body
        append(header(entry), body)
    }

    private func header(_ entry: Entry) -> [UInt8] {
        var header = [UInt8](repeating: 0, count: 512)
        func put(_ bytes: some Collection<UInt8>, _ offset: Int, _ limit: Int) {
            for (index, byte) in bytes.prefix(limit).enumerated() { header[offset + index] = byte }
        }
        func octal(_ value: UInt64, _ width: Int) -> [UInt8] {
            let digits = String(value, radix: 8)
            return Array((String(repeating: "0", count: max(0, width - digits.count)) + digits).utf8)
        }
        put(entry.name, 0, 100)
        put(octal(UInt64(entry.mode), 7), 100, 8)
        put(octal(min(entry.owner, 0o7777777), 7), 108, 8)
        put(octal(min(entry.group, 0o7777777), 7), 116, 8)
        put(entry.sizeField ?? octal(UInt64(entry.data.count), 11), 124, 12)
        put(octal(UInt64(max(0, entry.seconds)), 11), 136, 12)
        header[156] = entry.type.asciiValue ?? 0
        put(entry.link, 157, 100)
        put(Array("ustar\u{0}00".utf8), 257, 8)
        put(octal(UInt64(entry.device.major), 7), 329, 8)
        put(octal(UInt64(entry.device.minor), 7), 337, 8)
        put(Array("        ".utf8), 148, 8)
        put(octal(header.reduce(0) { $0 + UInt64($1) }, 6) + [0, 0x20], 148, 8)
        return header
    }

    private mutating func append(_ header: [UInt8], _ data: [UInt8]) {
        bytes += header + data
        bytes += [UInt8](repeating: 0, count: (512 - data.count % 512) % 512)
    }

    /// The tar with the mark of its end.
    func finished() -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: 1024)
    }
}

/// The short forms that most tests use.
extension TarBuilder {
    static func layer(_ body: (inout TarBuilder) -> Void) -> [UInt8] {
        var builder = TarBuilder()
        body(&builder)
        return builder.finished()
    }

    mutating func file(_ name: String, _ text: String, mode: UInt32 = 0o644) {
        var entry = Entry(name)
        entry.mode = mode
        entry.data = Array(text.utf8)
        add(entry)
    }

    mutating func directory(_ name: String, mode: UInt32 = 0o755, owner: UInt64 = 0) {
        var entry = Entry(name + "/", "5")
        entry.mode = mode
        entry.owner = owner
        add(entry)
    }

    mutating func symlink(_ name: String, to target: String) {
        var entry = Entry(name, "2")
        entry.mode = 0o777
        entry.link = Array(target.utf8)
        add(entry)
    }

    mutating func hardLink(_ name: String, to target: String) {
        var entry = Entry(name, "1")
        entry.link = Array(target.utf8)
        add(entry)
    }

    mutating func special(
        _ name: String, _ type: Character, major: Int = 0, minor: Int = 0, mode: UInt32 = 0o600
    ) {
        var entry = Entry(name, type)
        entry.device = (major, minor)
        entry.mode = mode
        add(entry)
    }

    /// An empty file, as whiteouts are.
    mutating func mark(_ name: String) {
        file(name, "")
    }
}
