// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// One record of a delta's log; `docs/formats.md` gives its 32 bytes.
struct DeltaLogRecord: Equatable {
    enum Kind: UInt8 {
        /// The blocks lie in the data file.
        case data = 1
        /// The blocks read as zeros.
        case zero = 2
        /// The volume has `start` blocks from now on.
        case resize = 3
        /// What records up to a sequence number speak of had reached the disk when this one was written.
        case barrier = 4
    }

    static let byteCount = 32
    private static let magic: UInt8 = 0xD5

    let kind: Kind
    let start: UInt32
    let count: UInt32
    let sequence: UInt64

    static func barrier(through: UInt64, sequence: UInt64) -> DeltaLogRecord {
        DeltaLogRecord(
            kind: .barrier, start: UInt32(truncatingIfNeeded: through), count: UInt32(through >> 32),
            sequence: sequence)
    }

    /// Of a barrier: the last sequence number that it vouches for.
    var through: UInt64 { UInt64(start) | UInt64(count) << 32 }

    func encode(delta: UInt64) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.byteCount) { buffer, filled in
            encode(into: UnsafeMutableRawBufferPointer(buffer), delta: delta)
            filled = Self.byteCount
        }
    }

    /// Writes the record's 32 bytes to the front of the buffer.
    ///
    /// Every first write of a block comes here with the delta locked, so it is stores and nothing else.
    func encode(into buffer: UnsafeMutableRawBufferPointer, delta: UInt64) {
        precondition(buffer.count >= Self.byteCount, "a record has room")
        // The magic byte, the kind, and two bytes of zeros.
        let head = UInt32(Self.magic) | UInt32(kind.rawValue) << 8
        buffer.storeBytes(of: head.littleEndian, toByteOffset: 0, as: UInt32.self)
        buffer.storeBytes(of: start.littleEndian, toByteOffset: 4, as: UInt32.self)
        buffer.storeBytes(of: count.littleEndian, toByteOffset: 8, as: UInt32.self)
        buffer.storeBytes(of: sequence.littleEndian, toByteOffset: 12, as: UInt64.self)
        // The log's own number keeps a record of a log that once had these disk blocks from looking genuine.
        buffer.storeBytes(of: delta.littleEndian, toByteOffset: 20, as: UInt64.self)
        let covered = UnsafeRawBufferPointer(rebasing: buffer[..<(Self.byteCount - 4)])
        let checksum = covered.withMemoryRebound(to: UInt8.self) { CRC32C.checksum($0.span) }
        buffer.storeBytes(of: checksum.littleEndian, toByteOffset: 28, as: UInt32.self)
    }

    /// Reads the record at a place; nil unless every bit of it is as it was written.
    init?(_ bytes: [UInt8], at offset: Int, delta: UInt64) {
        guard bytes.count - offset >= Self.byteCount, bytes[offset] == Self.magic else { return nil }
        var reader = ByteReader(bytes, at: offset + 1)
        guard let kind = (try? reader.take(UInt8.self)).flatMap(Kind.init),
            (try? reader.take(UInt16.self)) == 0,
            let start = try? reader.take(UInt32.self), let count = try? reader.take(UInt32.self),
            let sequence = try? reader.take(UInt64.self), (try? reader.take(UInt64.self)) == delta,
            let checksum = try? reader.take(UInt32.self),
            checksum == CRC32C.checksum(bytes.span.extracting(offset..<offset + Self.byteCount - 4))
        else { return nil }
        self.init(kind: kind, start: start, count: count, sequence: sequence)
    }

    init(kind: Kind, start: UInt32, count: UInt32, sequence: UInt64) {
        self.kind = kind
        self.start = start
        self.count = count
        self.sequence = sequence
    }
}

/// The head of a delta's log.
struct DeltaLogHeader: Equatable {
    /// The header fills a page, so that records never share one with it.
    static let byteCount = 4096
    private static let magic = Array("SLKDLOG\n".utf8)
    private static let version: UInt16 = 1
    private static let fieldBytes = 64

    let delta: UInt64
    /// The length of the volume before the first record.
    let blockCount: UInt32
    /// Blocks from here on do not show the parent, before the first record.
    let parentLimit: UInt32
    /// The sequence number of the first record.
    let firstSequence: UInt64
    let bootID: BootID

    func encode() -> [UInt8] {
        var writer = ByteWriter(capacity: Self.byteCount)
        writer.put(Self.magic)
        writer.put(Self.version)
        writer.put(UInt16(Block.bytes))
        writer.put(blockCount)
        writer.put(parentLimit)
        writer.put(UInt32(0))
        writer.put(delta)
        writer.put(firstSequence)
        writer.put(bootID.bytes)
        writer.pad(to: Self.fieldBytes - 4)
        writer.put(CRC32C.checksum(writer.bytes))
        writer.pad(to: Self.byteCount)
        return writer.bytes
    }

    /// Reads the header; the text of a failure completes "its log ...".
    static func decode(_ bytes: [UInt8], delta: UInt64) -> Result<DeltaLogHeader, DamagedLog> {
        guard bytes.count >= byteCount else { return .failure(DamagedLog("is too short")) }
        guard bytes.starts(with: magic) else { return .failure(DamagedLog("has a wrong magic number")) }
        var reader = ByteReader(bytes, at: magic.count)
        guard let version = try? reader.take(UInt16.self), version == Self.version else {
            return .failure(DamagedLog("has an unknown version; upgrade slacker"))
        }
        guard let blockBytes = try? reader.take(UInt16.self), Int(blockBytes) == Block.bytes,
            let blockCount = try? reader.take(UInt32.self), let parentLimit = try? reader.take(UInt32.self),
            (try? reader.take(UInt32.self)) == 0, let id = try? reader.take(UInt64.self),
            let first = try? reader.take(UInt64.self), let boot = try? reader.take(count: BootID.byteCount),
            let bootID = BootID(bytes: boot),
            CRC32C.checksum(bytes.span.extracting(0..<fieldBytes - 4)) == checksum(bytes)
        else { return .failure(DamagedLog("has a damaged header")) }
        if id != delta { return .failure(DamagedLog("belongs to another delta")) }
        return .success(
            DeltaLogHeader(
                delta: id, blockCount: blockCount, parentLimit: parentLimit, firstSequence: first,
                bootID: bootID))
    }

    private static func checksum(_ bytes: [UInt8]) -> UInt32? {
        var reader = ByteReader(bytes, at: fieldBytes - 4)
        return try? reader.take(UInt32.self)
    }
}

/// Why a log cannot be believed; the text completes "its log ...".
struct DamagedLog: Error, Equatable {
    let reason: String
    init(_ reason: String) { self.reason = reason }
}

/// What the kernel calls this start of the machine: another value means that the page cache was lost.
struct BootID: Equatable, Sendable {
    static let byteCount = 16
    let bytes: [UInt8]

    init?(bytes: [UInt8]) {
        guard bytes.count == Self.byteCount else { return nil }
        self.bytes = bytes
    }

    /// Reads the kernel's identifier, 36 characters with hyphens.
    static func current() throws(SystemError) -> BootID {
        let path = "/proc/sys/kernel/random/boot_id"
        let text = try File(open: path, 0).read(count: 64, at: 0)
        let digits = String(decoding: text, as: UTF8.self).filter(\.isHexDigit)
        var bytes: [UInt8] = []
        var rest = digits[...]
        while let byte = UInt8(rest.prefix(2), radix: 16), rest.count >= 2 {
            bytes.append(byte)
            rest = rest.dropFirst(2)
        }
        guard let id = BootID(bytes: bytes) else { throw SystemError(22, "read", path) }
        return id
    }
}
