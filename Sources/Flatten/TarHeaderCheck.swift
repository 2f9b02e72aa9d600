// SPDX-License-Identifier: Apache-2.0

/// Follows the raw headers of one entry beside libarchive, for what that lets pass.
///
/// It takes kinds of entries that it does not know for files, cuts names of extended headers at a NUL, and
/// ignores extended headers that it cannot read: each would show another tree than other engines do.
struct TarHeaderCheck {
    private enum Step {
        case header
        /// The records of an extended header.
        case records
        /// A long name, or a label.
        case skipped
        case done
    }

    private static let blockBytes: UInt64 = 512
    /// Far above what libarchive itself takes, and what memory it may cost.
    private static let recordsLimitBytes: UInt64 = 4 << 20

    private var step = Step.header
    /// Bytes that the step still takes, padding among them.
    private var wanted = blockBytes
    /// Of `gathered`, without padding.
    private var bodyBytes = 0
    private var gathered: [UInt8] = []
    /// What is wrong with the entry.
    private(set) var complaint: String?

    /// Begins at the first header of the next entry.
    mutating func restart() {
        complaint = nil
        begin(.header, Self.blockBytes)
    }

    /// Takes the bytes that follow those it was given before.
    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        while !rest.isEmpty {
            if case .done = step { return }
            let count = Int(min(wanted, UInt64(rest.count)))
            if case .skipped = step {} else { gathered.append(contentsOf: rest[..<count]) }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            wanted -= UInt64(count)
            if wanted == 0 { finishStep() }
        }
    }

    private mutating func begin(_ step: Step, _ count: UInt64) {
        self.step = step
        wanted = count
        gathered.removeAll(keepingCapacity: true)
    }

    /// Ends the check with a complaint of the caller's.
    mutating func refuse(_ reason: String) { end(reason) }

    private mutating func end(_ complaint: String?) {
        self.complaint = complaint
        begin(.done, 0)
    }

    private mutating func finishStep() {
        switch step {
        case .header: readHeader()
        case .records:
            if let reason = Self.complaint(about: gathered[..<bodyBytes]) { return end(reason) }
            begin(.header, Self.blockBytes)
        case .skipped: begin(.header, Self.blockBytes)
        case .done: break
        }
    }

    private mutating func readHeader() {
        let type = gathered[156]
        switch type {
        // Files, links, devices, directories, pipes; S is GNU's sparse file.
        case 0, UInt8(ascii: "0")...UInt8(ascii: "7"), UInt8(ascii: "S"): end(nil)
        case UInt8(ascii: "x"), UInt8(ascii: "g"), UInt8(ascii: "X"): beginBody(.records)
        case UInt8(ascii: "L"), UInt8(ascii: "K"), UInt8(ascii: "V"): beginBody(.skipped)
        default: end("its type, '\(printable([type]))', is none that layers have")
        }
    }

    private mutating func beginBody(_ step: Step) {
        guard let size = Self.number(gathered[124..<136]), size <= Self.recordsLimitBytes else {
            return end("the size of its extended header is invalid")
        }
        if size == 0 { return begin(.header, Self.blockBytes) }
        bodyBytes = Int(size)
        begin(step, (size + Self.blockBytes - 1) / Self.blockBytes * Self.blockBytes)
    }

    /// A size field: octal digits, or a number in base 256 that is marked by the top bit.
    private static func number(_ field: ArraySlice<UInt8>) -> UInt64? {
        if field.first == 0x80 {
            guard field.dropFirst().dropLast(8).allSatisfy({ $0 == 0 }) else { return nil }
            return field.suffix(8).reduce(0) { $0 << 8 | UInt64($1) }
        }
        let text = field.drop { $0 == 0x20 }.prefix { $0 != 0 && $0 != 0x20 }
        if text.isEmpty { return 0 }
        return UInt64(String(decoding: text, as: UTF8.self), radix: 8)
    }

    // MARK: Records

    /// Fields that end in a file system as text; a NUL would cut them short.
    private static let textKeys = ["path", "linkpath", "uname", "gname", "GNU.sparse.name"].map {
        Array($0.utf8)
    }

    /// Looks through records of the form `LENGTH KEY=VALUE\n`.
    private static func complaint(about records: ArraySlice<UInt8>) -> String? {
        var rest = records
        while !rest.isEmpty {
            guard let record = takeRecord(&rest), let equals = record.firstIndex(of: UInt8(ascii: "=")),
                equals > record.startIndex
            else { return "its extended header is malformed" }
            let key = record[..<equals]
            let isText = textKeys.contains { $0[...] == key }
            if key.contains(0) || isText && record[equals...].contains(0) {
                return "its extended header has a NUL in '\(printable(key))'"
            }
        }
        return nil
    }

    /// The key and value of the first record, without length and newline; nil when it is malformed.
    private static func takeRecord(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8>? {
        guard let space = rest.prefix(8).firstIndex(of: 0x20),
            let length = Int(String(decoding: rest[..<space], as: UTF8.self)),
            length > space - rest.startIndex + 1, length <= rest.count
        else { return nil }
        let end = rest.startIndex + length
        guard rest[end - 1] == 0x0A else { return nil }
        defer { rest = rest[end...] }
        return rest[(space + 1)..<(end - 1)]
    }
}
