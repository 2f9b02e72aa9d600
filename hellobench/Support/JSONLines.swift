// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// A file of JSON objects, one a line, written as they come: an interrupted run keeps what it measured.
final class JSONLines {
    private let stream: UnsafeMutablePointer<FILE>
    private let encoder = JSONEncoder()

    /// - Parameter appending: keeps what is there, but for a last line that was not finished.
    init(path: String, appending: Bool = false) throws(BenchError) {
        if appending { try Self.cutUnfinishedLine(of: path) }
        guard let stream = fopen(path, appending ? "ae" : "we") else { throw .last("open", path) }
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

    private static func cutUnfinishedLine(of path: String) throws(BenchError) {
        guard let text = Files.text(path) else { return }
        let end = text.utf8.lastIndex(of: UInt8(ascii: "\n")).map { text.utf8.index(after: $0) }
        let length = text.utf8.distance(from: text.utf8.startIndex, to: end ?? text.utf8.startIndex)
        if length < text.utf8.count, truncate(path, off_t(length)) < 0 { throw .last("truncate", path) }
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
