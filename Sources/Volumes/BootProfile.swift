// SPDX-License-Identifier: Apache-2.0

public import Base
import Blocks

/// Which blocks containers of an image read first, in the order in which they read them.
///
/// Chunks are named by digest, so a profile also serves a rebuilt image, as far as that has the same chunks.
public struct BootProfile: Sendable, Equatable {
    /// Blocks of one chunk that were read together.
    public struct Touch: Sendable, Hashable {
        public let chunk: Digest
        /// The first block within the chunk.
        public let first: UInt8
        /// 1 to 16; the touch ends within the largest chunk.
        public let count: UInt8

        public init(chunk: Digest, first: UInt8, count: UInt8) {
            precondition(Self.isValid(first, count), "a touch lies in a chunk of 1 to 16 blocks")
            self.chunk = chunk
            self.first = first
            self.count = count
        }

        static func isValid(_ first: UInt8, _ count: UInt8) -> Bool {
            count > 0 && Int(first) + Int(count) <= Block.maximumPerChunk
        }
    }

    /// Each block of a chunk stands in it once.
    public let touches: [Touch]

    /// Drops what an earlier touch has already; touches that go on where the one before ends become one.
    public init(_ touches: some Sequence<Touch>) {
        var seen: [Digest: UInt16] = [:]
        var kept: [Touch] = []
        for touch in touches {
            let known = seen[touch.chunk] ?? 0
            var mask = known
            for block in touch.first..<touch.first + touch.count where known & 1 << UInt16(block) == 0 {
                mask |= 1 << UInt16(block)
                if let last = kept.last, last.chunk == touch.chunk, last.first + last.count == block {
                    kept[kept.count - 1] = Touch(
                        chunk: last.chunk, first: last.first, count: last.count + 1)
                } else {
                    kept.append(Touch(chunk: touch.chunk, first: block, count: 1))
                }
            }
            seen[touch.chunk] = mask
        }
        self.touches = kept
    }

    /// Plain bytes of the blocks that were touched.
    public var byteCount: UInt64 {
        touches.reduce(0) { $0 + UInt64($1.count) } * UInt64(Block.bytes)
    }
}

/// Why bytes are not a boot profile.
public struct BootProfileError: Error, Sendable, CustomStringConvertible {
    public let reason: String
    public var description: String { "boot profile \(reason); record it again" }
}

/// The file form of a boot profile; `docs/formats.md` gives it byte by byte.
extension BootProfile {
    private static let magic = Array("SLKPROF\n".utf8)
    private static let version: UInt16 = 1
    private static let headerBytes = 32
    private static let touchBytes = 6
    /// A profile that touches every block of 1 TiB one by one would be longer.
    static let maximumBytes: UInt64 = 1 << 30

    /// Equal profiles have equal bytes.
    public func encode() -> [UInt8] {
        var indexes: [Digest: UInt32] = [:]
        var chunks: [Digest] = []
        for touch in touches where indexes[touch.chunk] == nil {
            indexes[touch.chunk] = UInt32(chunks.count)
            chunks.append(touch.chunk)
        }
        var writer = ByteWriter(
            capacity: Self.headerBytes + chunks.count * Digest.byteCount + touches.count * Self.touchBytes + 4
        )
        writer.put(Self.magic)
        writer.put(Self.version)
        writer.put(UInt16(0))
        writer.put(UInt32(chunks.count))
        writer.put(UInt32(touches.count))
        writer.pad(to: Self.headerBytes)
        for chunk in chunks { writer.put(chunk.bytes) }
        for touch in touches {
            writer.put(indexes[touch.chunk] ?? 0)
            writer.put(touch.first)
            writer.put(touch.count)
        }
        writer.put(CRC32C.checksum(writer.bytes))
        return writer.bytes
    }

    /// Reads a profile that may come from anywhere; memory is bounded by the length of the input.
    public init(decoding bytes: [UInt8]) throws(BootProfileError) {
        let result: Result<BootProfile, BootProfileError>
        do throws(TruncatedBytes) { result = try Self.decode(bytes) } catch {
            throw BootProfileError(reason: "ends early, at byte \(error.offset)")
        }
        self = try result.get()
    }

    private static func decode(
        _ bytes: [UInt8]
    ) throws(TruncatedBytes) -> Result<BootProfile, BootProfileError> {
        func invalid(_ reason: String) -> Result<BootProfile, BootProfileError> {
            .failure(BootProfileError(reason: reason))
        }
        var reader = ByteReader(bytes)
        if try reader.take(count: magic.count) != magic { return invalid("has a wrong magic number") }
        let version = try reader.take(UInt16.self)
        if version != Self.version { return invalid("has version \(version), newer than this program") }
        if try reader.take(UInt16.self) != 0 { return invalid("has a reserved field that is not zero") }
        let chunkCount = Int(try reader.take(UInt32.self))
        let touchCount = Int(try reader.take(UInt32.self))
        if try reader.take(count: headerBytes - reader.offset).contains(where: { $0 != 0 }) {
            return invalid("has a reserved field that is not zero")
        }
        let length = headerBytes + chunkCount * Digest.byteCount + touchCount * touchBytes + 4
        if length != bytes.count { return invalid("has \(bytes.count) bytes where \(length) are due") }
        var end = ByteReader(bytes, at: length - 4)
        if try end.take(UInt32.self) != CRC32C.checksum(Array(bytes.dropLast(4))) {
            return invalid("is damaged: its checksum does not match")
        }
        var chunks: [Digest] = []
        chunks.reserveCapacity(chunkCount)
        for _ in 0..<chunkCount { chunks.append(try reader.takeDigest()) }
        var touches: [Touch] = []
        for _ in 0..<touchCount {
            let chunk = Int(try reader.take(UInt32.self))
            let first = try reader.take(UInt8.self)
            let count = try reader.take(UInt8.self)
            if chunk >= chunks.count || !Touch.isValid(first, count) {
                return invalid("names blocks outside of its chunks")
            }
            touches.append(Touch(chunk: chunks[chunk], first: first, count: count))
        }
        return .success(BootProfile(touches))
    }
}
