// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import TOMLKit

/// A configuration file, read and checked against the table of settings.
struct ConfigurationFile {
    struct Entry {
        let key: SettingKey
        let value: SettingValue
        let line: Int
    }

    let path: String
    let entries: [Entry]

    /// Bytes that a configuration may have.
    private static let limitBytes = 1 << 20

    init(path: String) throws(Failure) {
        let bytes: [UInt8]
        do throws(SystemError) {
            bytes = try File(open: path, O_RDONLY).read(count: Self.limitBytes + 1, at: 0)
        } catch {
            throw Failure(.invalid, "\(path): configuration cannot be read: \(error.reason); check --config")
        }
        guard bytes.count <= Self.limitBytes, let text = String(validating: bytes, as: UTF8.self) else {
            throw Failure(.invalid, "\(path): not a configuration; it is no text or longer than 1 MiB")
        }
        try self.init(path: path, text: text)
    }

    init(path: String, text: String) throws(Failure) {
        self.path = path
        let table: TOMLTable
        do { table = try TOMLTable(string: text) } catch let error as TOMLParseError {
            throw Failure(.invalid, "\(path):\(error.source.begin.line): \(error.description)")
        } catch {
            throw Failure(.invalid, "\(path): not toml: \(error)")
        }
        let lines = KeyLines(text)
        var entries: [Entry] = []
        for section in table.keys {
            let line = lines.line(of: [section])
            guard Settings.sections.contains(section), let content = table[section]?.table else {
                let hint = NearestKey.find(section, among: Settings.sections)
                let text = hint.map { "did you mean [\($0)]?" } ?? "see docs/configuration.md"
                throw Failure(.invalid, "\(path):\(line): \(section): no such section; \(text)")
            }
            for name in content.keys {
                let line = lines.line(of: [section, name])
                guard let key = Settings.byPath["\(section).\(name)"] else {
                    throw Failure(
                        .invalid, "\(path):\(line): " + Configuration.unknown("\(section).\(name)"))
                }
                guard let node = content[name], let value = Self.value(node, key.kind) else {
                    let found = content[name].map { "\($0.debugDescription)" } ?? "nothing"
                    throw Failure(
                        .invalid, "\(path):\(line): \(key.path) wants \(key.kind.wanted), not \(found)")
                }
                entries.append(Entry(key: key, value: value, line: line))
            }
        }
        self.entries = entries.sorted { $0.line < $1.line }
    }

    /// A node as a value of the kind; nil when it has another type or is out of range.
    private static func value(_ node: any TOMLValueConvertible, _ kind: SettingKind) -> SettingValue? {
        switch kind {
        case .text, .secret, .path, .choice: node.string.flatMap { kind.checked(.text($0)) }
        case .list, .paths:
            node.array.flatMap { array in
                let texts = array.compactMap { $0.string }
                return texts.count == array.count ? .list(texts) : nil
            }
        case .boolean: node.bool.map { .boolean($0) }
        case .integer: node.int.flatMap { kind.checked(.integer(Int64($0))) }
        case .seconds: (node.double ?? node.int.map(Double.init)).flatMap { kind.checked(.seconds($0)) }
        case .bytes:
            if let number = node.int {
                UInt64(exactly: number).flatMap { kind.checked(.bytes($0)) }
            } else {
                node.string.flatMap(ByteCount.parse).flatMap { kind.checked(.bytes($0)) }
            }
        }
    }
}
