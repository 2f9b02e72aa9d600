// SPDX-License-Identifier: Apache-2.0

extension SettingValue: CustomStringConvertible {
    /// As a person would write it: lists with commas, bytes with the largest unit that divides them.
    public var description: String {
        switch self {
        case .text(let text): text
        case .list(let list): list.joined(separator: ",")
        case .boolean(let boolean): boolean ? "true" : "false"
        case .integer(let number): "\(number)"
        case .seconds(let seconds): Self.text(ofSeconds: seconds)
        case .bytes(let bytes): Self.text(ofBytes: bytes)
        }
    }

    private static func text(ofSeconds seconds: Double) -> String {
        seconds == seconds.rounded() && abs(seconds) < 1e15 ? "\(Int64(seconds))" : "\(seconds)"
    }

    private static func text(ofBytes bytes: UInt64) -> String {
        for (shift, unit) in [(UInt64(40), "T"), (30, "G"), (20, "M"), (10, "K")]
        where bytes > 0 && bytes % (1 << shift) == 0 {
            return "\(bytes >> shift)\(unit)"
        }
        return "\(bytes)"
    }
}

extension SettingValue: Codable {
    /// As the JSON value that it looks like.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .text(let text): try container.encode(text)
        case .list(let list): try container.encode(list)
        case .boolean(let boolean): try container.encode(boolean)
        case .integer(let number): try container.encode(number)
        case .seconds(let seconds): try container.encode(seconds)
        case .bytes(let bytes): try container.encode(bytes)
        }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let boolean = try? container.decode(Bool.self) {
            self = .boolean(boolean)
        } else if let number = try? container.decode(Int64.self) {
            self = .integer(number)
        } else if let seconds = try? container.decode(Double.self) {
            self = .seconds(seconds)
        } else if let list = try? container.decode([String].self) {
            self = .list(list)
        } else {
            self = .text(try container.decode(String.self))
        }
    }
}

extension SettingKind {
    /// What a value must be, for messages and the reference.
    var wanted: String {
        switch self {
        case .text, .secret: "a text"
        case .path: "a path"
        case .list: "a list of texts"
        case .paths: "a list of paths"
        case .boolean: "true or false"
        case .integer(let range): "a number from \(range.lowerBound) to \(range.upperBound)"
        case .seconds(let range):
            "seconds from \(SettingValue.seconds(range.lowerBound)) to "
                + "\(SettingValue.seconds(range.upperBound))"
        case .bytes(let range):
            "bytes from \(SettingValue.bytes(range.lowerBound)) to \(SettingValue.bytes(range.upperBound))"
        case .choice(let choices): choices.dropLast().joined(separator: ", ") + " or \(choices.last ?? "")"
        }
    }

    /// Reads a value as flags and environment variables have it; nil when it is not of this kind.
    func parse(_ text: String) -> SettingValue? {
        switch self {
        case .text, .secret, .path: .text(text)
        case .list, .paths:
            .list(text.split(separator: ",").map { $0.trimmed }.filter { !$0.isEmpty })
        case .boolean:
            switch text {
            case "true", "yes", "on", "1": .boolean(true)
            case "false", "no", "off", "0": .boolean(false)
            default: nil
            }
        case .integer: Int64(text).flatMap { checked(.integer($0)) }
        case .seconds: Double(text).flatMap { checked(.seconds($0)) }
        case .bytes: ByteCount.parse(text).flatMap { checked(.bytes($0)) }
        case .choice: checked(.text(text))
        }
    }

    /// The value, if it is in range.
    func checked(_ value: SettingValue) -> SettingValue? {
        switch (self, value) {
        case (.integer(let range), .integer(let number)): range.contains(number) ? value : nil
        case (.seconds(let range), .seconds(let seconds)): range.contains(seconds) ? value : nil
        case (.bytes(let range), .bytes(let bytes)): range.contains(bytes) ? value : nil
        case (.choice(let choices), .text(let text)): choices.contains(text) ? value : nil
        default: value
        }
    }
}

/// Numbers of bytes as people write them: powers of 1024.
public enum ByteCount {
    /// Reads `4096`, `512M`, `10G`, `10GiB`; nil for anything else and for more than 2^62 bytes.
    public static func parse(_ text: String) -> UInt64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits) else { return nil }
        var suffix = text.dropFirst(digits.count).uppercased()
        if suffix.hasSuffix("IB") {
            suffix.removeLast(2)
        } else if suffix.hasSuffix("B") {
            suffix.removeLast()
        }
        guard let power = ["", "K", "M", "G", "T"].firstIndex(of: suffix) else { return nil }
        let (bytes, overflow) = number.multipliedReportingOverflow(by: 1 << (10 * UInt64(power)))
        return overflow || bytes > 1 << 62 ? nil : bytes
    }
}

extension Substring {
    fileprivate var trimmed: String {
        var text = self
        while text.first?.isWhitespace == true { text.removeFirst() }
        while text.last?.isWhitespace == true { text.removeLast() }
        return String(text)
    }
}
