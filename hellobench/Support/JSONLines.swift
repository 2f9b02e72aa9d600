// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// A file of JSON objects, one a line, written as they come: an interrupted run keeps what it measured.
final class JSONLines {
    private let stream: UnsafeMutablePointer<FILE>
    private let encoder = JSONEncoder()

    init(path: String) throws(BenchError) {
        guard let stream = fopen(path, "we") else { throw .last("open", path) }
        self.stream = stream
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    }

    deinit { fclose(stream) }

    /// - Parameter kind: what sort of line it is; it becomes the member `kind`.
    func write(_ kind: String, _ value: some Encodable) throws {
        var line = Array(try encoder.encode(Line(kind: kind, value: value)))
        line.append(UInt8(ascii: "\n"))
        if fwrite(line, 1, line.count, stream) != line.count || fflush(stream) != 0 {
            throw BenchError.last("write", "json file")
        }
    }

    private struct Line<Value: Encodable>: Encodable {
        let kind: String
        let value: Value

        private enum Key: CodingKey { case kind }

        func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(kind, forKey: .kind)
            try value.encode(to: encoder)
        }
    }
}
