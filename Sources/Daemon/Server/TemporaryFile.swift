// SPDX-License-Identifier: Apache-2.0

import Base
import FlyingSocks
import Glibc

/// JSON lines that are written first and sent afterwards: a listing may be longer than fits in memory.
///
/// The file has no name any more once it is open, so nothing is left of it, however the daemon ends.
final class TemporaryFile: Sendable {
    private let file: File
    private let buffered = Lock((bytes: [UInt8](), offset: UInt64(0)))

    init(in directory: String) throws(SystemError) {
        let path = "\(directory)/list-\(UInt64.random(in: 0...UInt64.max))"
        file = try File(open: path, O_RDWR | O_CREAT | O_EXCL)
        try Directories.removeFile(path)
    }

    /// Bytes written; complete after `finish`.
    var count: Int { Int(buffered.withLock { $0.offset }) }

    func append(line bytes: [UInt8]) throws(SystemError) {
        try buffered.withLock { (state) throws(SystemError) in
            state.bytes += bytes
            state.bytes.append(UInt8(ascii: "\n"))
            if state.bytes.count >= 1 << 18 { try flush(&state) }
        }
    }

    func finish() throws(SystemError) {
        try buffered.withLock { (state) throws(SystemError) in try flush(&state) }
    }

    private func flush(_ state: inout (bytes: [UInt8], offset: UInt64)) throws(SystemError) {
        try file.write(state.bytes, at: state.offset)
        state.offset += UInt64(state.bytes.count)
        state.bytes.removeAll(keepingCapacity: true)
    }

    fileprivate func read(count: Int, at offset: UInt64) throws(SystemError) -> [UInt8] {
        try file.read(count: count, at: offset)
    }
}

/// The bytes of a finished file, for a response's body.
struct TemporaryFileBytes: AsyncBufferedSequence {
    typealias Element = UInt8
    let file: TemporaryFile

    func makeAsyncIterator() -> Iterator {
        Iterator(file: file)
    }

    struct Iterator: AsyncBufferedIteratorProtocol {
        let file: TemporaryFile
        private var offset: UInt64 = 0

        init(file: TemporaryFile) {
            self.file = file
        }

        mutating func next() async throws -> UInt8? {
            try await nextBuffer(suggested: 1)?.first
        }

        mutating func nextBuffer(suggested count: Int) async throws -> [UInt8]? {
            // What was written a moment ago is in the page cache: this copies, and does not wait.
            let bytes = try file.read(count: count, at: offset)
            offset += UInt64(bytes.count)
            return bytes.isEmpty ? nil : bytes
        }
    }
}
