// SPDX-License-Identifier: Apache-2.0

import Base

/// A process by its number and the moment of its start, since numbers are given out again.
struct ProcessIdentity: Codable, Sendable, Equatable {
    private let number: Int32
    private let started: String?

    init(_ number: Int32) {
        self.number = number
        started = Self.startTime(number)
    }

    var isAlive: Bool {
        started != nil && Self.startTime(number) == started
    }

    /// Field 22 of /proc/N/stat; the fields are counted after the name, which may hold spaces and brackets.
    private static func startTime(_ number: Int32) -> String? {
        guard let bytes = try? File.small("/proc/\(number)/stat") else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        // A zombie is as good as gone.
        guard fields.count > 19, fields[0] != "Z" else { return nil }
        return String(fields[19])
    }
}
