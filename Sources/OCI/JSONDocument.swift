// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// Reads JSON of strangers: bounded in length and in depth before the decoder sees it.
enum JSONDocument {
    /// Bytes in the largest manifest, index or configuration; registries set the same limit.
    static let limitBytes = 4 << 20
    /// Brackets open at once; real documents have fewer than ten.
    static let depthLimit = 64

    static func decode<T: Decodable>(_ type: T.Type, _ bytes: [UInt8], name: String) throws(OCIError) -> T {
        if bytes.count > limitBytes {
            throw .limit(name, reason: "it has \(bytes.count) bytes; documents have at most \(limitBytes)")
        }
        if depth(of: bytes) > depthLimit {
            throw .limit(name, reason: "its JSON is nested deeper than \(depthLimit) levels")
        }
        do {
            return try JSONDecoder().decode(type, from: Data(bytes))
        } catch let error as DecodingError {
            throw .badDocument(name, reason: reason(error))
        } catch {
            throw .badDocument(name, reason: "it is not JSON")
        }
    }

    /// The greatest number of brackets open at once, outside of strings.
    private static func depth(of bytes: [UInt8]) -> Int {
        var depth = 0
        var deepest = 0
        var inString = false
        var escaped = false
        for byte in bytes {
            if inString {
                if escaped {
                    escaped = false
                } else if byte == 0x5C {
                    escaped = true
                } else if byte == 0x22 {
                    inString = false
                }
                continue
            }
            switch byte {
            case 0x22: inString = true
            case UInt8(ascii: "["), UInt8(ascii: "{"):
                depth += 1
                deepest = max(deepest, depth)
            case UInt8(ascii: "]"), UInt8(ascii: "}"): depth -= 1
            default: break
            }
        }
        return deepest
    }

    private static func reason(_ error: DecodingError) -> String {
        func place(_ context: DecodingError.Context) -> String {
            let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
            return path.isEmpty ? "the document" : printable(path.joined(separator: "."))
        }
        return switch error {
        case .typeMismatch(_, let context): "\(place(context)) has the wrong type"
        case .valueNotFound(_, let context): "\(place(context)) is null"
        case .keyNotFound(let key, let context): "\(place(context)) has no \(key.stringValue)"
        case .dataCorrupted(let context) where !context.codingPath.isEmpty:
            "\(place(context)) has an invalid value"
        default: "it is not JSON"
        }
    }
}
