// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Where a setting's value comes from; each wins over those before it.
public enum SettingOrigin: Sendable, Equatable {
    case fallback
    case file(String, line: Int)
    case environment(String)
    case flag(String)
}

extension SettingOrigin: CustomStringConvertible {
    public var description: String {
        switch self {
        case .fallback: "default"
        case .file(let path, let line): "\(path):\(line)"
        case .environment(let name): "$\(name)"
        case .flag(let name): name
        }
    }
}

/// A value that a flag sets, and how the flag is called.
public struct FlagSetting: Sendable, Equatable {
    public let path: String
    public let text: String
    public let flag: String

    public init(path: String, text: String, flag: String) {
        self.path = path
        self.text = text
        self.flag = flag
    }
}

/// All settings with the values that are in force.
public struct Configuration: Sendable {
    /// The file that is read when none is named; it need not be there.
    public static let defaultFile = "/etc/slacker/config.toml"
    /// Names the file, as `--config` does.
    public static let fileVariable = "SLACKER_CONFIG"

    private var values: [String: (value: SettingValue, origin: SettingOrigin)] = [:]

    /// Settings as defaults, file, environment and flags give them.
    /// - Parameters:
    ///   - file: the one that must be there; nil for SLACKER_CONFIG's, or the default one if it is there.
    ///   - environment: `NAME=VALUE`.
    ///   - directory: what relative paths of flags and variables start from.
    public init(
        file: String?, environment: [String], flags: [FlagSetting] = [], directory: String
    ) throws(Failure) {
        let variables = Self.variables(environment)
        if let named = file ?? variables[Self.fileVariable] {
            try read(ConfigurationFile(path: Self.absolute(named, directory)))
        } else if access(Self.defaultFile, F_OK) == 0 {
            try read(ConfigurationFile(path: Self.defaultFile))
        }
        try read(variables, directory)
        for flag in flags {
            guard let key = Settings.byPath[flag.path] else {
                throw Failure(.invalid, "\(flag.flag): " + Self.unknown(flag.path))
            }
            try set(key, flag.text, .flag(flag.flag), directory)
        }
    }

    /// The value that is in force.
    subscript<Value>(_ setting: Setting<Value>) -> Value {
        guard let entry = values[setting.key.path] else { return setting.fallback }
        return setting.extract(entry.value) ?? setting.fallback
    }

    /// The two directories of the daemon.
    public var places: Places {
        Places(root: self[Settings.storageRoot], run: self[Settings.storageRun])
    }

    /// True when somebody has said where state is kept: a daemon that keeps another one must not answer.
    public var namesRoot: Bool { values[Settings.storageRoot.key.path] != nil }

    /// Every setting in the order of the table, for `slacker config`.
    public var entries: [SettingInfo] {
        Settings.all.map { key in
            let entry = values[key.path]
            var value = entry?.value ?? key.fallback
            if key.kind == .secret, value != .text("") { value = .text("***") }
            return SettingInfo(
                key: key.path, value: value, origin: "\(entry?.origin ?? .fallback)")
        }
    }

    private mutating func read(_ file: ConfigurationFile) throws(Failure) {
        for entry in file.entries {
            values[entry.key.path] = (
                Self.resolved(entry.value, entry.key, Self.parent(of: file.path)),
                .file(file.path, line: entry.line)
            )
        }
    }

    private mutating func read(_ variables: [String: String], _ directory: String) throws(Failure) {
        for key in Settings.all {
            let names = [key.variable] + (key.shortVariable.map { [$0] } ?? [])
            for name in names {
                if let text = variables[name] { try set(key, text, .environment(name), directory) }
            }
        }
        // A variable that begins like a section's but is none is a mistake; others may be somebody else's.
        let known = Settings.all.map(\.variable)
        let prefixes = Settings.sections.map { "SLACKER_\($0)_".uppercased() }
        for name in variables.keys.sorted()
        where prefixes.contains(where: name.hasPrefix) && !known.contains(name) {
            let hint = NearestKey.find(name, among: known).map { "; did you mean \($0)?" } ?? ""
            throw Failure(.invalid, "\(name): no such variable\(hint)")
        }
    }

    private mutating func set(
        _ key: SettingKey, _ text: String, _ origin: SettingOrigin, _ directory: String
    ) throws(Failure) {
        guard let value = key.kind.parse(text) else {
            throw Failure(.invalid, "\(origin): \(key.path) wants \(key.kind.wanted), not '\(text)'")
        }
        values[key.path] = (Self.resolved(value, key, directory), origin)
    }

    /// What to say of a key that there is not.
    static func unknown(_ path: String) -> String {
        let hint = NearestKey.find(path, among: Settings.all.map(\.path))
        return "\(path): no such setting; " + (hint.map { "did you mean \($0)?" } ?? "see 'slacker config'")
    }

    /// Variables with a value, by name.
    ///
    /// An empty one counts as not set.
    private static func variables(_ environment: [String]) -> [String: String] {
        environment.reduce(into: [:]) { result, entry in
            guard entry.hasPrefix("SLACKER_"), let equals = entry.firstIndex(of: "=") else { return }
            let value = entry[entry.index(after: equals)...]
            if !value.isEmpty { result[String(entry[..<equals])] = String(value) }
        }
    }

    private static func resolved(
        _ value: SettingValue, _ key: SettingKey, _ directory: String
    ) -> SettingValue {
        switch (key.kind, value) {
        case (.path, .text(let path)) where !path.isEmpty: .text(absolute(path, directory))
        case (.paths, .list(let paths)): .list(paths.map { absolute($0, directory) })
        default: value
        }
    }

    private static func absolute(_ path: String, _ directory: String) -> String {
        path.hasPrefix("/") ? path : (directory == "/" ? "" : directory) + "/" + path
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }
}

/// A setting that is in force, as `slacker config` shows it.
public struct SettingInfo: Codable, Equatable, Sendable {
    /// `section.name`.
    public let key: String
    public let value: SettingValue
    /// `default`, `FILE:LINE`, `$VARIABLE` or the flag.
    public let origin: String
}

/// What `GET /v1/config` answers.
public struct ConfigurationInfo: Codable, Equatable, Sendable {
    /// The daemon whose settings these are; absent for those that a daemon would start with.
    public let process: Int32?
    public let settings: [SettingInfo]

    public init(process: Int32?, settings: [SettingInfo]) {
        self.process = process
        self.settings = settings
    }
}
