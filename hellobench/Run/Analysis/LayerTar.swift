// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The regular files of a layer, read from its tar as a stream.
///
/// Understands ustar, and of GNU tar and pax what large layers need: sizes that do not fit.
struct LayerTar {
    private static let blockBytes = 512
    private let source: ByteStream

    init(_ source: ByteStream) {
        self.source = source
    }

    /// Hands over every regular file that has content, in pieces.
    ///
    /// - Parameters:
    ///   - piece: is given the next bytes of a file.
    ///   - end: is called after the last piece of a file.
    func forEachFile(
        piece: (UnsafeRawBufferPointer) -> Void, end: () -> Void
    ) throws(BenchError) {
        var nextSize: UInt64?
        while let header = try source.next(Self.blockBytes) {
            if header.allSatisfy({ $0 == 0 }) { continue }
            let kind = header[156]
            let size = nextSize ?? Self.number(header[124..<136])
            let padded = (size + 511) / 512 * 512
            switch kind {
            case UInt8(ascii: "x"):
                nextSize = Self.paxSize(try source.next(Int(padded)) ?? [])
            case 0, UInt8(ascii: "0"), UInt8(ascii: "7"):
                nextSize = nil
                guard size > 0 else { continue }
                try source.pass(size, to: piece)
                try source.skip(padded - size)
                end()
            case UInt8(ascii: "L"), UInt8(ascii: "K"), UInt8(ascii: "g"):
                try source.skip(padded)
            default:
                nextSize = nil
                // Links, directories and devices have no content, whatever their size says.
                if kind == UInt8(ascii: "S") { try source.skip(padded) }
            }
        }
    }

    /// A number in octal digits, or in base 256 when the first bit is set.
    static func number(_ field: ArraySlice<UInt8>) -> UInt64 {
        if let first = field.first, first & 0x80 != 0 {
            return field.dropFirst().reduce(0) { $0 << 8 | UInt64($1) }
        }
        return field.reduce(0) { sum, byte in
            (UInt8(ascii: "0")...UInt8(ascii: "7")).contains(byte) ? sum << 3 | UInt64(byte - 48) : sum
        }
    }

    /// The size that a pax header gives for the file behind it.
    static func paxSize(_ header: [UInt8]) -> UInt64? {
        for line in String(decoding: header, as: UTF8.self).split(separator: "\n") {
            let entry = line.drop { $0 != " " }.dropFirst()
            if entry.hasPrefix("size=") { return UInt64(entry.dropFirst("size=".count)) }
        }
        return nil
    }
}

/// What a program writes to its standard output.
final class ByteStream {
    private let descriptor: Int32
    private let process: pid_t
    private let name: String
    private var buffer = [UInt8](repeating: 0, count: 1 << 18)
    private var range = 0..<0
    /// So many bytes were taken.
    private(set) var count: UInt64 = 0

    /// Unpacks a file that gzip or zstd packed, or passes it on as it is.
    convenience init(unpacking path: String) throws(BenchError) {
        var magic: [UInt8] = []
        if let file = fopen(path, "re") {
            magic = [UInt8](repeating: 0, count: 4)
            fread(&magic, 1, 4, file)
            fclose(file)
        }
        let program =
            magic.starts(with: [0x1f, 0x8b])
            ? ["gzip", "-dc"]
            : magic == [0x28, 0xb5, 0x2f, 0xfd] ? ["zstd", "-dc"] : ["cat"]
        try self.init(program + [path])
    }

    init(_ arguments: [String]) throws(BenchError) {
        name = arguments.joined(separator: " ")
        let begun = try Spawn.withPipes(arguments, input: nil)
        descriptor = begun.output
        process = begun.id
    }

    deinit {
        close(descriptor)
        kill(process, SIGKILL)
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
    }

    /// The next bytes; nil at the end.
    func next(_ count: Int) throws(BenchError) -> [UInt8]? {
        guard count > 0 else { return [] }
        var bytes: [UInt8] = []
        while bytes.count < count {
            guard try fill() else {
                if bytes.isEmpty { return nil }
                throw .answer("\(name): ends in the middle of a file")
            }
            let part = range.lowerBound..<min(range.upperBound, range.lowerBound + count - bytes.count)
            bytes.append(contentsOf: buffer[part])
            take(part.count)
        }
        return bytes
    }

    func pass(_ count: UInt64, to body: (UnsafeRawBufferPointer) -> Void) throws(BenchError) {
        var left = count
        while left > 0 {
            guard try fill() else { throw .answer("\(name): ends in the middle of a file") }
            let part = min(range.count, Int(min(left, UInt64(Int.max))))
            let first = range.lowerBound
            buffer.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[first..<first + part])) }
            take(part)
            left -= UInt64(part)
        }
    }

    func skip(_ count: UInt64) throws(BenchError) { try pass(count) { _ in } }

    private func take(_ part: Int) {
        range = range.lowerBound + part..<range.upperBound
        count += UInt64(part)
    }

    /// - Returns: whether there is anything in the buffer.
    private func fill() throws(BenchError) -> Bool {
        if !range.isEmpty { return true }
        while true {
            try Interrupt.check()
            let count = read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            if count < 0 { throw .last("read", name) }
            range = 0..<count
            return count > 0
        }
    }
}
