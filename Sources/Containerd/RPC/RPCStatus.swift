// SPDX-License-Identifier: Apache-2.0

/// How a call of gRPC ended that did not succeed.
struct RPCStatus: Error, CustomStringConvertible {
    /// The numbers are those of gRPC.
    enum Code: Int, Sendable {
        case cancelled = 1
        case unknown = 2
        case invalidArgument = 3
        case deadlineExceeded = 4
        case notFound = 5
        case alreadyExists = 6
        case permissionDenied = 7
        case resourceExhausted = 8
        case failedPrecondition = 9
        case aborted = 10
        case outOfRange = 11
        case unimplemented = 12
        case internalError = 13
        case unavailable = 14
        case dataLoss = 15
        case unauthenticated = 16
    }

    let code: Code
    let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    var description: String { message }

    // MARK: As header fields have it

    /// A message in visible ASCII, with all else as `%XX`.
    static func encoded(_ message: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in message.utf8 {
            if (0x20...0x7E).contains(byte), byte != UInt8(ascii: "%") {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func decoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            if byte == UInt8(ascii: "%"), digits.utf8.count == 2, let value = UInt8(digits, radix: 16) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Messages as a body carries them: for each a byte for compression, its length, and its bytes.
enum RPCBody {
    /// Bytes of messages of one call, together.
    static let limitBytes = 16 << 20

    static func encode(_ messages: [[UInt8]]) -> [UInt8] {
        var body: [UInt8] = []
        for message in messages {
            body.append(0)
            for shift in [24, 16, 8, 0] { body.append(UInt8(truncatingIfNeeded: message.count >> shift)) }
            body += message
        }
        return body
    }

    static func decode(_ body: [UInt8]) throws(RPCStatus) -> [ArraySlice<UInt8>] {
        var messages: [ArraySlice<UInt8>] = []
        var rest = body[...]
        while !rest.isEmpty {
            guard rest.count >= 5 else { throw RPCStatus(.internalError, "a message is cut off") }
            let head = Array(rest.prefix(5))
            if head[0] != 0 { throw RPCStatus(.unimplemented, "compressed messages are not understood") }
            let count = head[1...].reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(5)
            if count > rest.count { throw RPCStatus(.internalError, "a message is cut off") }
            messages.append(rest.prefix(count))
            rest = rest.dropFirst(count)
        }
        return messages
    }
}
