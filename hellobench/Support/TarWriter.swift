// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Writes a ustar archive (POSIX.1-1988) of directories and files to a descriptor.
struct TarWriter {
    private let descriptor: Int32
    private static let recordBytes = 512

    init(to descriptor: Int32) {
        self.descriptor = descriptor
    }

    func directory(_ name: String) throws(BenchError) {
        try put(header(name + "/", mode: 0o755, bytes: 0, type: "5"))
    }

    /// Starts a file; its content, exactly so many bytes, must follow by `content`, then `endFile`.
    func file(_ name: String, bytes: Int) throws(BenchError) {
        try put(header(name, mode: 0o644, bytes: bytes, type: "0"))
    }

    func content(_ bytes: UnsafeRawBufferPointer) throws(BenchError) {
        var rest = bytes
        while !rest.isEmpty {
            try Interrupt.check()
            let count = write(descriptor, rest.baseAddress, rest.count)
            if count <= 0 { throw .last("write", "tar") }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    func endFile(bytes: Int) throws(BenchError) {
        let rest = bytes % Self.recordBytes
        if rest > 0 { try put([UInt8](repeating: 0, count: Self.recordBytes - rest)) }
    }

    func finish() throws(BenchError) {
        try put([UInt8](repeating: 0, count: 2 * Self.recordBytes))
    }

    private func put(_ bytes: [UInt8]) throws(BenchError) {
        var failure: BenchError?
        bytes.withUnsafeBytes { buffer in
            do throws(BenchError) { try content(buffer) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    private func header(_ name: String, mode: Int, bytes: Int, type: Character) -> [UInt8] {
        precondition(name.utf8.count < 100, "a ustar name field has 100 bytes")
        var record: [UInt8] = []
        func field(_ text: String, _ width: Int) {
            record += Array(text.utf8) + [UInt8](repeating: 0, count: width - text.utf8.count)
        }
        func number(_ value: Int, _ width: Int) {
            let digits = String(value, radix: 8)
            field(String(repeating: "0", count: width - 1 - digits.count) + digits, width)
        }
        field(name, 100)
        number(mode, 8)
        number(0, 8)
        number(0, 8)
        number(bytes, 12)
        number(1_700_000_000, 12)
        field(String(repeating: " ", count: 8), 8)
        field(String(type), 1)
        field("", 100)
        field("ustar", 6)
        field("00", 2)
        field("", Self.recordBytes - record.count)
        let sum = record.reduce(0) { $0 + Int($1) }
        let digits = String(sum, radix: 8)
        let checksum = String(repeating: "0", count: 6 - digits.count) + digits + "\0 "
        record.replaceSubrange(148..<156, with: Array(checksum.utf8))
        return record
    }
}
