// SPDX-License-Identifier: Apache-2.0

/// A JSON value that knows where it stands, so that an error can name the line.
struct JSONNode {
    indirect enum Value {
        case object([Member])
        case array([JSONNode])
        case string(String)
        case number(Double)
        case bool(Bool)
        case null
    }

    struct Member {
        let key: String
        /// Of the key.
        let line: Int
        let node: JSONNode
    }

    /// Counts from 1.
    let line: Int
    let value: Value

    /// What it is, as an error says it.
    var kind: String {
        switch value {
        case .object: "an object"
        case .array: "an array"
        case .string: "a string"
        case .number: "a number"
        case .bool: "true or false"
        case .null: "null"
        }
    }
}

/// Reads JSON (RFC 8259); names of members are unique.
struct JSONParser {
    struct Failure: Error {
        let line: Int
        let problem: String
    }

    private static let greatestDepth = 64
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1

    private init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    static func parse(_ bytes: [UInt8]) throws(Failure) -> JSONNode {
        var parser = JSONParser(bytes)
        let node = try parser.value(depth: 0)
        parser.skipSpace()
        if parser.position < bytes.count { throw parser.failure("nothing may follow the value") }
        return node
    }

    private func failure(_ problem: String) -> Failure {
        Failure(line: line, problem: problem)
    }

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    private mutating func skipSpace() {
        while let byte = next, [0x20, 0x09, 0x0a, 0x0d].contains(byte) {
            if byte == 0x0a { line += 1 }
            position += 1
        }
    }

    private mutating func take(_ character: Unicode.Scalar) -> Bool {
        skipSpace()
        guard next == UInt8(ascii: character) else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws(Failure) -> JSONNode {
        skipSpace()
        if depth > Self.greatestDepth { throw failure("nested more than \(Self.greatestDepth) deep") }
        let line = line
        switch next {
        case UInt8(ascii: "{"): return JSONNode(line: line, value: .object(try members(depth: depth)))
        case UInt8(ascii: "["): return JSONNode(line: line, value: .array(try elements(depth: depth)))
        case UInt8(ascii: "\""): return JSONNode(line: line, value: .string(try string()))
        case nil: throw failure("a value is missing at the end of the file")
        default: return JSONNode(line: line, value: try word())
        }
    }

    private mutating func members(depth: Int) throws(Failure) -> [JSONNode.Member] {
        position += 1
        var members: [JSONNode.Member] = []
        if take("}") { return members }
        repeat {
            skipSpace()
            let line = line
            guard next == UInt8(ascii: "\"") else { throw failure("a key in quotes is missing") }
            let key = try string()
            if members.contains(where: { $0.key == key }) {
                throw failure("the key \"\(key)\" is there twice")
            }
            guard take(":") else { throw failure("a colon is missing after the key \"\(key)\"") }
            members.append(JSONNode.Member(key: key, line: line, node: try value(depth: depth + 1)))
        } while take(",")
        guard take("}") else {
            throw failure("a comma or } is missing after the value of \"\(members.last?.key ?? "")\"")
        }
        return members
    }

    private mutating func elements(depth: Int) throws(Failure) -> [JSONNode] {
        position += 1
        var elements: [JSONNode] = []
        if take("]") { return elements }
        repeat { elements.append(try value(depth: depth + 1)) } while take(",")
        guard take("]") else { throw failure("a comma or ] is missing in an array") }
        return elements
    }

    private mutating func word() throws(Failure) -> JSONNode.Value {
        let start = position
        while let byte = next, !Array(",]}: \t\r\n".utf8).contains(byte) { position += 1 }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        switch text {
        case "true": return .bool(true)
        case "false": return .bool(false)
        case "null": return .null
        default:
            let isNumber = text.utf8.allSatisfy { Array("0123456789+-.eE".utf8).contains($0) }
            guard isNumber, let number = Double(text), number.isFinite else {
                throw failure("\(text.isEmpty ? "a value is missing" : "\(text) is no value")")
            }
            return .number(number)
        }
    }

    private mutating func string() throws(Failure) -> String {
        position += 1
        var text: [UInt8] = []
        while let byte = next, byte != UInt8(ascii: "\"") {
            if byte < 0x20 { throw failure("a string does not end on its line") }
            position += 1
            if byte == UInt8(ascii: "\\") { try escape(into: &text) } else { text.append(byte) }
        }
        if next == nil { throw failure("a string does not end") }
        position += 1
        guard let result = String(validating: text, as: UTF8.self) else {
            throw failure("a string is not UTF-8")
        }
        return result
    }

    private mutating func escape(into text: inout [UInt8]) throws(Failure) {
        let escapes: [UInt8: UInt8] = [
            UInt8(ascii: "n"): 0x0a, UInt8(ascii: "t"): 0x09, UInt8(ascii: "r"): 0x0d,
            UInt8(ascii: "b"): 0x08,
            UInt8(ascii: "f"): 0x0c, UInt8(ascii: "\""): 0x22, UInt8(ascii: "\\"): 0x5c,
            UInt8(ascii: "/"): 0x2f,
        ]
        guard let byte = next else { throw failure("a string does not end") }
        position += 1
        if let plain = escapes[byte] { return text.append(plain) }
        guard byte == UInt8(ascii: "u") else { throw failure("\\ and this character mean nothing") }
        let first = try unit()
        var code = UInt32(first)
        if (0xd800..<0xdc00).contains(first), next == UInt8(ascii: "\\") {
            position += 2
            let second = try unit()
            code = 0x10000 + (UInt32(first) - 0xd800) << 10 + (UInt32(second) &- 0xdc00) & 0x3ff
        }
        guard let scalar = Unicode.Scalar(code) else { throw failure("\\u and half of a character") }
        text += Array(String(scalar).utf8)
    }

    /// The four hexadecimal digits of an escape.
    private mutating func unit() throws(Failure) -> UInt16 {
        let digits = bytes[min(position, bytes.count)..<min(position + 4, bytes.count)]
        guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw failure("\\u needs four hexadecimal digits") }
        position += 4
        return unit
    }
}
