// SPDX-License-Identifier: Apache-2.0

/// Why a text is no filter.
struct FilterError: Error, CustomStringConvertible {
    let filter: String
    /// Byte at which it ends to be one.
    let offset: Int
    let reason: String

    var description: String { "filter '\(filter)': \(reason), at byte \(offset)" }
}

/// A selection of things by their fields, in containerd's language.
///
///     selectors := selector ("," selector)*      all must match
///     selector  := field ("." field)* (operator value)?     without operator: the field is there
///     operator  := "==" | "!=" | "~="
///
/// A field is a word or quoted, a value ends at a comma or a space or is quoted; a regular expression may
/// stand between slashes or bars.
struct Filter: Sendable {
    private enum Test: Sendable {
        case isPresent
        case equals(String)
        case differs(String)
        case matches(String)
    }

    private struct Selector: Sendable {
        var path: [String]
        var test: Test
    }

    private let selectors: [Selector]

    /// - Parameter text: empty for what everything matches.
    init(_ text: String) throws(FilterError) {
        if text.isEmpty {
            selectors = []
            return
        }
        var parser = Parser(scanner: FilterScanner(text))
        selectors = try parser.selectors()
    }

    /// - Parameter field: the value of a field; nil when the thing has no such field.
    func matches(_ field: ([String]) -> String?) -> Bool {
        selectors.allSatisfy { selector in
            let value = field(selector.path)
            return switch selector.test {
            case .isPresent: value != nil
            case .equals(let wanted): value == wanted
            case .differs(let other): (value ?? "") != other
            case .matches(let pattern): Self.search(pattern, value ?? "")
            }
        }
    }

    /// What is no regular expression matches nothing.
    private static func search(_ pattern: String, _ value: String) -> Bool {
        guard let expression = try? Regex(pattern) else { return false }
        return value.contains(expression)
    }

    private struct Parser {
        var scanner: FilterScanner

        mutating func selectors() throws(FilterError) -> [Selector] {
            var selectors: [Selector] = []
            while true {
                var selector = Selector(path: [try field()], test: .isPresent)
                var token = try scanner.next()
                while token == .dot {
                    selector.path.append(try field())
                    token = try scanner.next()
                }
                if case .filterOperator(let name) = token {
                    selector.test = try test(name)
                    token = try scanner.next()
                }
                selectors.append(selector)
                switch token {
                case .end: return selectors
                case .comma: continue
                default: throw scanner.error("expected a comma or the end")
                }
            }
        }

        private mutating func field() throws(FilterError) -> String {
            switch try scanner.next() {
            case .field(let text), .quoted(let text, isAlternative: false): return text
            default: throw scanner.error("expected a field")
            }
        }

        private mutating func test(_ name: String) throws(FilterError) -> Test {
            switch name {
            case "==": return .equals(try value(anyQuotes: false))
            case "!=": return .differs(try value(anyQuotes: false))
            case "~=": return .matches(try value(anyQuotes: true))
            default: throw scanner.error("'\(name)' is no operator; use ==, != or ~=")
            }
        }

        private mutating func value(anyQuotes: Bool) throws(FilterError) -> String {
            switch try scanner.next() {
            case .value(let text), .field(let text), .quoted(let text, isAlternative: false): return text
            case .quoted(let text, isAlternative: true) where anyQuotes: return text
            default: throw scanner.error("expected a value")
            }
        }
    }
}
