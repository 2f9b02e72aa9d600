// SPDX-License-Identifier: Apache-2.0

import Base
import Daemon
import Glibc

/// Writes to standard output and standard error, whole lines in one call each.
enum Output {
    static func print(_ text: String) {
        write(text.hasSuffix("\n") ? text : text + "\n", to: 1)
    }

    /// Set by --quiet: no progress, no summaries.
    private static let quiet = Lock(false)
    static var isQuiet: Bool { quiet.withLock { $0 } }

    static func beQuiet() {
        quiet.withLock { $0 = true }
    }

    /// Somebody looks at standard error, and wants to see how things go.
    static var showsProgress: Bool { isatty(2) == 1 && !isQuiet }

    /// What was done, for people.
    static func summary(_ text: String) {
        if !isQuiet { print(text) }
    }

    /// One line on standard error, whatever the text holds.
    static func error(_ text: String) {
        let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
        write("slacker: \(line)\n", to: 2)
    }

    static func json(_ value: some Encodable) throws(Failure) {
        print(String(decoding: try JSON.encode(value, pretty: true), as: UTF8.self))
    }

    static func write(_ text: String, to descriptor: Int32) {
        write(Array(text.utf8)[...], to: descriptor)
    }

    static func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) {
        var rest = bytes
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // Standard output that is gone has nobody to tell.
            if count <= 0 { return }
            rest = rest.dropFirst(count)
        }
    }

    static func lines(_ lines: [String]) {
        if !lines.isEmpty { print(lines.joined(separator: "\n")) }
    }

    /// Columns under headings, two spaces apart; the last column is not padded.
    static func table(_ headings: [String], _ rows: [[String]]) {
        var widths = headings.map(\.count)
        for row in rows {
            for (column, cell) in row.enumerated() { widths[column] = max(widths[column], cell.count) }
        }
        let lines = ([headings] + rows).map { row in
            row.enumerated().map { column, cell in
                column == row.count - 1
                    ? cell : cell + String(repeating: " ", count: widths[column] - cell.count)
            }.joined(separator: "  ")
        }
        print(lines.joined(separator: "\n"))
    }

    /// Names and values under each other.
    static func fields(_ pairs: [(String, String?)]) {
        let shown = pairs.compactMap { name, value in value.map { (name, $0) } }
        let width = shown.map(\.0.count).max() ?? 0
        for (name, value) in shown {
            print("\(name):" + String(repeating: " ", count: width - name.count + 1) + value)
        }
    }
}
