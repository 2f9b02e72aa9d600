// SPDX-License-Identifier: Apache-2.0

/// Says on which line of a TOML text a key stands; the parser does not tell.
///
/// Works on text that has been parsed without an error, so it looks only at what it needs to find statements:
/// strings, brackets and comments.
struct KeyLines {
    /// By dotted path, of tables and of keys.
    private var lines: [String: Int] = [:]
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1

    init(_ text: String) {
        bytes = Array(text.utf8)
        var table: [String] = []
        while position < bytes.count {
            skipBlank()
            guard let byte = current else { break }
            if byte == UInt8(ascii: "[") {
                while current == UInt8(ascii: "[") { position += 1 }
                table = readPath(until: UInt8(ascii: "]"))
                note(table)
                skipLine()
            } else {
                let key = readPath(until: UInt8(ascii: "="))
                for count in 1...max(1, key.count) { note(table + key.prefix(count)) }
                skipValue()
            }
        }
    }

    /// The line of a key, or of the nearest thing around it.
    func line(of path: [String]) -> Int {
        for count in stride(from: path.count, to: 0, by: -1) {
            if let line = lines[path.prefix(count).joined(separator: ".")] { return line }
        }
        return 1
    }

    private mutating func note(_ path: [String]) {
        let name = path.joined(separator: ".")
        if lines[name] == nil { lines[name] = line }
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func advance() {
        if current == UInt8(ascii: "\n") { line += 1 }
        position += 1
    }

    private mutating func skipBlank() {
        while let byte = current {
            if byte == UInt8(ascii: "#") {
                skipLine()
            } else if byte == UInt8(ascii: " ") || (9...13).contains(byte) {
                advance()
            } else {
                return
            }
        }
    }

    private mutating func skipLine() {
        while let byte = current {
            advance()
            if byte == UInt8(ascii: "\n") { return }
        }
    }

    /// Parts of a dotted name, quoted or not.
    private mutating func readPath(until end: UInt8) -> [String] {
        var parts: [[UInt8]] = [[]]
        while let byte = current, byte != end, byte != UInt8(ascii: "\n") {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                position += 1
                while let inner = current, inner != byte, inner != UInt8(ascii: "\n") {
                    parts[parts.count - 1].append(inner)
                    position += 1
                }
            case UInt8(ascii: "."): parts.append([])
            case UInt8(ascii: " "), UInt8(ascii: "\t"): break
            default: parts[parts.count - 1].append(byte)
            }
            position += 1
        }
        if current == end { position += 1 }
        return parts.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Up to the line's end that closes the value: not one inside brackets or a string.
    private mutating func skipValue() {
        var depth = 0
        while let byte = current {
            switch byte {
            case UInt8(ascii: "["), UInt8(ascii: "{"): depth += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            case UInt8(ascii: "\""), UInt8(ascii: "'"):
                skipString(byte)
                continue
            case UInt8(ascii: "#"):
                skipLine()
                if depth <= 0 { return }
                continue
            case UInt8(ascii: "\n") where depth <= 0:
                advance()
                return
            default: break
            }
            advance()
        }
    }

    private mutating func skipString(_ quote: UInt8) {
        let isLong = bytes[position...].prefix(3).elementsEqual([quote, quote, quote])
        let width = isLong ? 3 : 1
        position += width
        while let byte = current {
            if byte == UInt8(ascii: "\\"), quote == UInt8(ascii: "\"") {
                advance()
                if current != nil { advance() }
            } else if bytes[position...].prefix(width).elementsEqual(repeatElement(quote, count: width)) {
                position += width
                return
            } else {
                advance()
            }
        }
    }
}
