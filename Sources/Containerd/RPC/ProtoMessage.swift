// SPDX-License-Identifier: Apache-2.0

/// Why bytes are no message.
struct ProtoError: Error, CustomStringConvertible {
    let description: String
}

/// A message of protocol buffers, version 3, by the numbers of its fields.
///
/// Only what containerd's services use: integers, texts, bytes, messages, and maps of texts. Unknown fields
/// are passed over.
struct ProtoMessage {
    private enum Value {
        case number(UInt64)
        case bytes(ArraySlice<UInt8>)
    }

    private var fields: [Int: [Value]] = [:]

    init(_ bytes: ArraySlice<UInt8>) throws(ProtoError) {
        var rest = bytes
        while !rest.isEmpty {
            let tag = try Self.varint(&rest)
            let field = Int(truncatingIfNeeded: tag >> 3)
            guard field > 0, tag >> 3 < 1 << 29 else {
                throw ProtoError(description: "a field has no number")
            }
            switch tag & 7 {
            case 0: fields[field, default: []].append(.number(try Self.varint(&rest)))
            case 1: _ = try Self.take(8, &rest)
            case 2:
                let count = try Self.varint(&rest)
                fields[field, default: []].append(.bytes(try Self.take(count, &rest)))
            case 5: _ = try Self.take(4, &rest)
            default: throw ProtoError(description: "field \(field) has an unknown type")
            }
        }
    }

    private static func varint(_ rest: inout ArraySlice<UInt8>) throws(ProtoError) -> UInt64 {
        var value: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 70, by: 7) {
            guard let byte = rest.popFirst() else { throw ProtoError(description: "a number is cut off") }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
        }
        throw ProtoError(description: "a number has more than 64 bits")
    }

    private static func take(
        _ count: UInt64, _ rest: inout ArraySlice<UInt8>
    ) throws(ProtoError) -> ArraySlice<UInt8> {
        if count > UInt64(rest.count) { throw ProtoError(description: "a field is cut off") }
        let part = rest.prefix(Int(count))
        rest = rest.dropFirst(Int(count))
        return part
    }

    // MARK: Fields; the last of several counts, and a missing one is empty or 0

    func integer(_ field: Int) -> Int64 {
        if case .number(let value)? = fields[field]?.last { return Int64(bitPattern: value) }
        return 0
    }

    func bytes(_ field: Int) -> ArraySlice<UInt8> {
        if case .bytes(let bytes)? = fields[field]?.last { return bytes }
        return []
    }

    func string(_ field: Int) throws(ProtoError) -> String {
        try Self.text(bytes(field))
    }

    func strings(_ field: Int) throws(ProtoError) -> [String] {
        var texts: [String] = []
        for case .bytes(let bytes) in fields[field] ?? [] { texts.append(try Self.text(bytes)) }
        return texts
    }

    func message(_ field: Int) throws(ProtoError) -> ProtoMessage {
        try ProtoMessage(bytes(field))
    }

    func messages(_ field: Int) throws(ProtoError) -> [ProtoMessage] {
        var messages: [ProtoMessage] = []
        for case .bytes(let bytes) in fields[field] ?? [] { messages.append(try ProtoMessage(bytes)) }
        return messages
    }

    func map(_ field: Int) throws(ProtoError) -> [String: String] {
        var map: [String: String] = [:]
        for entry in try messages(field) { map[try entry.string(1)] = try entry.string(2) }
        return map
    }

    private static func text(_ bytes: ArraySlice<UInt8>) throws(ProtoError) -> String {
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ProtoError(description: "a text is not UTF-8")
        }
        return text
    }
}

/// Puts a message together; fields that are empty or 0 are left out.
struct ProtoWriter {
    private(set) var bytes: [UInt8] = []

    mutating func integer(_ field: Int, _ value: Int64) {
        if value == 0 { return }
        varint(UInt64(field) << 3)
        varint(UInt64(bitPattern: value))
    }

    mutating func bytes(_ field: Int, _ value: some Collection<UInt8>) {
        if !value.isEmpty { write(field, value) }
    }

    mutating func string(_ field: Int, _ value: String) {
        bytes(field, Array(value.utf8))
    }

    mutating func strings(_ field: Int, _ values: [String]) {
        for value in values { write(field, Array(value.utf8)) }
    }

    mutating func message(_ field: Int, _ value: ProtoWriter) {
        write(field, value.bytes)
    }

    mutating func map(_ field: Int, _ map: [String: String]) {
        for (key, value) in map.sorted(by: { $0.key < $1.key }) {
            var entry = ProtoWriter()
            entry.string(1, key)
            entry.string(2, value)
            message(field, entry)
        }
    }

    private mutating func write(_ field: Int, _ value: some Collection<UInt8>) {
        varint(UInt64(field) << 3 | 2)
        varint(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    private mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }
}
