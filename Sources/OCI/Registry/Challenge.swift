// SPDX-License-Identifier: Apache-2.0

/// One way to authenticate that a server offers in `WWW-Authenticate` (RFC 7235, section 4.1).
struct Challenge: Hashable, Sendable {
    /// Lower case: `bearer`, `basic`.
    let scheme: String
    /// Names in lower case.
    var parameters: [String: String] = [:]

    /// Reads all challenges of all header lines; what is malformed ends its line.
    static func parse(_ lines: [String]) -> [Challenge] {
        lines.flatMap { line in
            var parser = Parser(rest: Array(line.utf8)[...])
            return parser.challenges()
        }
    }

    private struct Parser {
        var rest: ArraySlice<UInt8>

        mutating func challenges() -> [Challenge] {
            var found: [Challenge] = []
            while true {
                skip { $0 == UInt8(ascii: ",") || Self.isSpace($0) }
                let name = token()
                if name.isEmpty { return found }
                let hadSpace = skip(Self.isSpace)
                if rest.first == UInt8(ascii: "="), !found.isEmpty {
                    rest.removeFirst()
                    skip(Self.isSpace)
                    guard let value = value() else { return found }
                    found[found.count - 1].parameters[name.lowercased()] = value
                } else {
                    found.append(Challenge(scheme: name.lowercased()))
                    if hadSpace { skipToken68() }
                }
            }
        }

        @discardableResult
        private mutating func skip(_ matches: (UInt8) -> Bool) -> Bool {
            let before = rest.count
            rest = rest.drop(while: matches)
            return rest.count < before
        }

        private mutating func token() -> String {
            let part = rest.prefix {
                isLetterOrDigit($0, upper: true) || "!#$%&'*+-.^_`|~".utf8.contains($0)
            }
            rest = rest[part.endIndex...]
            return String(decoding: part, as: UTF8.self)
        }

        private mutating func value() -> String? {
            if rest.first != UInt8(ascii: "\"") { return token() }
            rest.removeFirst()
            var text: [UInt8] = []
            while let byte = rest.popFirst() {
                if byte == UInt8(ascii: "\"") { return String(decoding: text, as: UTF8.self) }
                if byte == UInt8(ascii: "\\"), let escaped = rest.popFirst() {
                    text.append(escaped)
                } else {
                    text.append(byte)
                }
            }
            return nil
        }

        /// Passes the one word that a scheme such as Negotiate has in place of parameters.
        private mutating func skipToken68() {
            let word = rest.prefix {
                isLetterOrDigit($0, upper: true) || "-._~+/".utf8.contains($0)
            }
            let after = rest[word.endIndex...].drop { $0 == UInt8(ascii: "=") }
            let equals = after.startIndex - word.endIndex
            let next = after.drop(while: Self.isSpace).first
            // "realm=x" has one equals sign and something behind it.
            if !word.isEmpty, next == nil || next == UInt8(ascii: ","), equals > 0 || next == nil {
                rest = after
            }
        }

        private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
    }
}
