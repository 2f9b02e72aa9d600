// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// The one way in which the control API and the command line turn values into JSON and back.
public enum JSON {
    /// - Parameter pretty: for people: indented and sorted.
    public static func encode(_ value: some Encodable, pretty: Bool = false) throws(Failure) -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting =
            pretty
            ? [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes] : [.withoutEscapingSlashes]
        do { return Array(try encoder.encode(value)) } catch {
            throw Failure(.failed, "json: \(type(of: value)) cannot be encoded")
        }
    }

    /// Reads JSON that a client sent; the failure says which member is wrong and how.
    public static func decode<T: Decodable>(
        _ type: T.Type, _ bytes: some Sequence<UInt8>
    ) throws(Failure) -> T {
        do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch let error as DecodingError {
            throw Failure(.invalid, "request: \(explain(error))")
        } catch {
            throw Failure(.invalid, "request: not valid json; send one json object")
        }
    }

    private static func explain(_ error: DecodingError) -> String {
        switch error {
        case .keyNotFound(let key, _): "member '\(key.stringValue)' is missing; add it"
        case .typeMismatch(_, let context), .valueNotFound(_, let context):
            "member '\(context.codingPath.map(\.stringValue).joined(separator: "."))' has the wrong type"
        default: "not valid json; send one json object"
        }
    }
}

/// Moments as the control API shows them.
public enum Timestamp {
    /// Seconds since 1970 as `2026-01-31T12:00:00Z`, by the proleptic Gregorian calendar.
    public static func text(_ seconds: Int64) -> String {
        let day = seconds >= 0 ? seconds / 86400 : (seconds - 86399) / 86400
        let rest = Int(seconds - day * 86400)
        // Days from civil, turned round: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * monthIndex + 2) / 5 + 1
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let date = "\(padded(Int(year), 4))-\(padded(Int(month), 2))-\(padded(Int(dayOfMonth), 2))"
        return "\(date)T\(padded(rest / 3600, 2)):\(padded(rest / 60 % 60, 2)):\(padded(rest % 60, 2))Z"
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}
