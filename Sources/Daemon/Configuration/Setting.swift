// SPDX-License-Identifier: Apache-2.0

/// What a setting's value looks like, and which values make sense.
public enum SettingKind: Sendable, Equatable {
    case text
    /// A text that nobody is shown.
    case secret
    /// A path; made absolute, from the file that names it or from the working directory.
    case path
    case list
    case paths
    case boolean
    case integer(ClosedRange<Int64>)
    /// Seconds, with a fraction if need be.
    case seconds(ClosedRange<Double>)
    /// Bytes, as a number or as a text such as `64M`.
    case bytes(ClosedRange<UInt64>)
    case choice([String])
}

/// A value of one of the kinds.
public enum SettingValue: Sendable, Equatable {
    case text(String)
    case list([String])
    case boolean(Bool)
    case integer(Int64)
    case seconds(Double)
    case bytes(UInt64)
}

/// One row of the table of settings: everything that is known of a setting before anybody has set it.
public struct SettingKey: Sendable {
    public let section: String
    public let name: String
    public let kind: SettingKind
    public let fallback: SettingValue
    /// One sentence for the reference and for help.
    public let summary: String
    /// A second, shorter environment variable.
    public let shortVariable: String?

    /// `section.name`, as files, `--set` and messages have it.
    public var path: String { "\(section).\(name)" }
    /// `SLACKER_SECTION_NAME`.
    public var variable: String { "SLACKER_\(section)_\(name)".uppercased() }
    /// `--section-name`, an option of `slacker daemon`.
    public var flag: String { "--" + "\(section)-\(name)".replacing("_", with: "-") }
}

/// A setting and the type that its value has in the program.
struct Setting<Value: Sendable>: Sendable {
    let key: SettingKey
    /// The default, for a value of another kind than the key's: that cannot be, values are checked before.
    let fallback: Value
    let extract: @Sendable (SettingValue) -> Value?
}

extension Setting {
    fileprivate init(
        _ path: String, _ kind: SettingKind, _ value: SettingValue, _ fallback: Value, _ summary: String,
        _ shortVariable: String?, _ extract: @escaping @Sendable (SettingValue) -> Value?
    ) {
        let parts = path.split(separator: ".").map(String.init)
        precondition(parts.count == 2, "a setting has a section and a name")
        key = SettingKey(
            section: parts[0], name: parts[1], kind: kind, fallback: value, summary: summary,
            shortVariable: shortVariable)
        self.fallback = fallback
        self.extract = extract
    }
}

extension Setting where Value == String {
    static func text(_ path: String, _ value: String, _ summary: String) -> Setting {
        Setting(path, .text, .text(value), value, summary, nil, string)
    }

    static func path(
        _ path: String, _ value: String, variable: String? = nil, _ summary: String
    ) -> Setting {
        Setting(path, .path, .text(value), value, summary, variable, string)
    }

    static func secret(_ path: String, _ summary: String) -> Setting {
        Setting(path, .secret, .text(""), "", summary, nil, string)
    }

    static func choice(_ path: String, _ value: String, of choices: [String], _ summary: String) -> Setting {
        Setting(path, .choice(choices), .text(value), value, summary, nil, string)
    }

    private static var string: @Sendable (SettingValue) -> String? {
        { if case .text(let text) = $0 { text } else { nil } }
    }
}

extension Setting where Value == [String] {
    static func list(_ path: String, _ value: [String], _ summary: String) -> Setting {
        Setting(path, .list, .list(value), value, summary, nil, strings)
    }

    static func paths(_ path: String, _ summary: String) -> Setting {
        Setting(path, .paths, .list([]), [], summary, nil, strings)
    }

    private static var strings: @Sendable (SettingValue) -> [String]? {
        { if case .list(let list) = $0 { list } else { nil } }
    }
}

extension Setting where Value == Bool {
    static func boolean(_ path: String, _ value: Bool, _ summary: String) -> Setting {
        Setting(path, .boolean, .boolean(value), value, summary, nil) {
            if case .boolean(let boolean) = $0 { boolean } else { nil }
        }
    }
}

extension Setting where Value == Int {
    static func integer(
        _ path: String, _ value: Int, in range: ClosedRange<Int64>, _ summary: String
    ) -> Setting {
        Setting(path, .integer(range), .integer(Int64(value)), value, summary, nil) {
            if case .integer(let number) = $0 { Int(number) } else { nil }
        }
    }
}

extension Setting where Value == Double {
    static func seconds(
        _ path: String, _ value: Double, in range: ClosedRange<Double>, _ summary: String
    ) -> Setting {
        Setting(path, .seconds(range), .seconds(value), value, summary, nil) {
            if case .seconds(let seconds) = $0 { seconds } else { nil }
        }
    }
}

extension Setting where Value == UInt64 {
    static func bytes(
        _ path: String, _ value: UInt64, in range: ClosedRange<UInt64>, _ summary: String
    ) -> Setting {
        Setting(path, .bytes(range), .bytes(value), value, summary, nil) {
            if case .bytes(let bytes) = $0 { bytes } else { nil }
        }
    }
}
