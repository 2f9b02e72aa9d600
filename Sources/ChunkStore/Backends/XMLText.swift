// SPDX-License-Identifier: Apache-2.0

/// Finds texts in the flat XML that S3 answers with; no reader of XML in general.
enum XMLText {
    /// The text of the first element of a name, which must hold no elements of its own.
    static func element(_ name: String, in bytes: some Collection<UInt8>) -> String? {
        elements(name, in: Array(bytes), limit: 1).first
    }

    /// The texts of all elements of a name, in order.
    static func elements(_ name: String, in bytes: [UInt8], limit: Int = .max) -> [String] {
        var found: [String] = []
        var rest = bytes[...]
        let (open, close) = (Array("<\(name)>".utf8), Array("</\(name)>".utf8))
        while found.count < limit, let begin = index(of: open, in: rest) {
            rest = rest[(begin + open.count)...]
            guard let end = index(of: close, in: rest) else { break }
            if let text = unescaped(rest[..<end]) { found.append(text) }
            rest = rest[(end + close.count)...]
        }
        return found
    }

    private static func index(of pattern: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
        guard bytes.count >= pattern.count else { return nil }
        var start = bytes.startIndex
        let last = bytes.endIndex - pattern.count
        while start <= last, let candidate = bytes[start...last].firstIndex(of: pattern[0]) {
            if bytes[candidate..<candidate + pattern.count].elementsEqual(pattern) { return candidate }
            start = candidate + 1
        }
        return nil
    }

    private static let entities: [String: UInt8] = [
        "amp": UInt8(ascii: "&"), "lt": UInt8(ascii: "<"), "gt": UInt8(ascii: ">"),
        "quot": UInt8(ascii: "\""),
        "apos": UInt8(ascii: "'"), "#34": UInt8(ascii: "\""), "#39": UInt8(ascii: "'"), "#13": 13, "#10": 10,
    ]

    private static func unescaped(_ bytes: ArraySlice<UInt8>) -> String? {
        var result: [UInt8] = []
        var rest = bytes
        while let byte = rest.popFirst() {
            if byte != UInt8(ascii: "&") {
                result.append(byte)
                continue
            }
            guard let end = rest.prefix(8).firstIndex(of: UInt8(ascii: ";")),
                let value = entities[String(decoding: rest[..<end], as: UTF8.self)]
            else { return nil }
            result.append(value)
            rest = rest[(end + 1)...]
        }
        return String(validating: result, as: UTF8.self)
    }
}
