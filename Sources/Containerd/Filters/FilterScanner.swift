// SPDX-License-Identifier: Apache-2.0

/// Cuts a filter into tokens.
struct FilterScanner {
    enum Token: Equatable {
        case field(String)
        case value(String)
        /// Between quotes, its escapes undone; `isAlternative` for quotes other than `"`.
        case quoted(String, isAlternative: Bool)
        case comma, dot
        case filterOperator(String)
        case end
    }

    private let text: [UInt8]
    private var place = 0
    /// An operator came last, so that what follows ends at a comma or a space only.
    private var isValueNext = false

    init(_ text: String) {
        self.text = Array(text.utf8)
    }

    mutating func next() throws(FilterError) -> Token {
        while place < text.count, Self.isSpace(text[place]) { place += 1 }
        guard place < text.count else { return .end }
        let byte = text[place]
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "/"), UInt8(ascii: "|"):
            isValueNext = false
            return try quoted(byte)
        case UInt8(ascii: ","):
            place += 1
            isValueNext = false
            return .comma
        case UInt8(ascii: "."):
            place += 1
            isValueNext = false
            return .dot
        case UInt8(ascii: "="), UInt8(ascii: "!"), UInt8(ascii: "~"):
            isValueNext = true
            return .filterOperator(take { "=!~".utf8.contains($0) })
        case _ where isValueNext:
            isValueNext = false
            return .value(take { !Self.isSpace($0) && $0 != UInt8(ascii: ",") })
        case _ where Self.isField(byte): return .field(take(Self.isField))
        default: throw error("unexpected character")
        }
    }

    func error(_ reason: String) -> FilterError {
        FilterError(filter: String(decoding: text, as: UTF8.self), offset: place, reason: reason)
    }

    private mutating func take(_ belongs: (UInt8) -> Bool) -> String {
        let start = place
        while place < text.count, belongs(text[place]) { place += 1 }
        return String(decoding: text[start..<place], as: UTF8.self)
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }

    private static func isField(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    // MARK: Quotes, as Go writes strings

    private mutating func quoted(_ quote: UInt8) throws(FilterError) -> Token {
        place += 1
        var bytes: [UInt8] = []
        while true {
            guard place < text.count, text[place] != UInt8(ascii: "\n") else {
                throw error("the quote is not closed")
            }
            let byte = text[place]
            place += 1
            if byte == quote { break }
            if byte != UInt8(ascii: "\\") {
                bytes.append(byte)
            } else {
                try escape(quote, into: &bytes)
            }
        }
        return .quoted(String(decoding: bytes, as: UTF8.self), isAlternative: quote != UInt8(ascii: "\""))
    }

    private static let simpleEscapes: [UInt8: UInt8] = [
        UInt8(ascii: "a"): 7, UInt8(ascii: "b"): 8, UInt8(ascii: "t"): 9, UInt8(ascii: "n"): 10,
        UInt8(ascii: "v"): 11, UInt8(ascii: "f"): 12, UInt8(ascii: "r"): 13,
        UInt8(ascii: "\\"): UInt8(ascii: "\\"),
    ]

    private mutating func escape(_ quote: UInt8, into bytes: inout [UInt8]) throws(FilterError) {
        guard place < text.count else { throw error("an escape is not complete") }
        let byte = text[place]
        place += 1
        if byte == quote { return bytes.append(quote) }
        if let plain = Self.simpleEscapes[byte] { return bytes.append(plain) }
        switch byte {
        case UInt8(ascii: "x"): bytes.append(UInt8(truncatingIfNeeded: try digits(2, radix: 16)))
        case UInt8(ascii: "u"): try append(try digits(4, radix: 16), to: &bytes)
        case UInt8(ascii: "U"): try append(try digits(8, radix: 16), to: &bytes)
        case UInt8(ascii: "0")...UInt8(ascii: "7"):
            place -= 1
            let value = try digits(3, radix: 8)
            if value > 255 { throw error("an escape is not a byte") }
            bytes.append(UInt8(value))
        default: throw error("unknown escape")
        }
    }

    private mutating func digits(_ count: Int, radix: Int) throws(FilterError) -> UInt32 {
        guard place + count <= text.count,
            let value = UInt32(String(decoding: text[place..<place + count], as: UTF8.self), radix: radix)
        else { throw error("an escape is not complete") }
        place += count
        return value
    }

    private func append(_ value: UInt32, to bytes: inout [UInt8]) throws(FilterError) {
        guard let scalar = Unicode.Scalar(value) else { throw error("an escape is no character") }
        bytes.append(contentsOf: String(Character(scalar)).utf8)
    }
}
