// SPDX-License-Identifier: Apache-2.0

/// Builds a little-endian byte image, field by field: the layout of a Swift type is never a disk format.
public struct ByteWriter {
    public private(set) var bytes: [UInt8] = []

    public init(capacity: Int = 0) {
        bytes.reserveCapacity(capacity)
    }

    public mutating func put<T: FixedWidthInteger>(_ value: T) {
        var rest = value
        for _ in 0..<T.bitWidth / 8 {
            bytes.append(UInt8(truncatingIfNeeded: rest))
            rest = T.bitWidth > 8 ? rest >> 8 : 0
        }
    }

    public mutating func put(_ raw: [UInt8]) {
        bytes.append(contentsOf: raw)
    }

    public mutating func pad(to count: Int) {
        precondition(bytes.count <= count, "already longer than the padding asks for")
        bytes.append(contentsOf: repeatElement(0, count: count - bytes.count))
    }
}

/// The bytes end before the value that was asked for.
public struct TruncatedBytes: Error, Equatable, Sendable {
    public let offset: Int

    public init(offset: Int) {
        self.offset = offset
    }
}

/// Reads little-endian fields one after the other and never past the end.
public struct ByteReader {
    private let bytes: [UInt8]
    public private(set) var offset: Int

    public init(_ bytes: [UInt8], at offset: Int = 0) {
        self.bytes = bytes
        self.offset = offset
    }

    public var remaining: Int { bytes.count - offset }

    public mutating func take<T: FixedWidthInteger>(_: T.Type) throws(TruncatedBytes) -> T {
        let width = T.bitWidth / 8
        if remaining < width { throw TruncatedBytes(offset: offset) }
        var value: T = 0
        for index in 0..<width { value |= T(truncatingIfNeeded: bytes[offset + index]) << T(8 * index) }
        offset += width
        return value
    }

    public mutating func take(count: Int) throws(TruncatedBytes) -> [UInt8] {
        if count < 0 || remaining < count { throw TruncatedBytes(offset: offset) }
        defer { offset += count }
        return Array(bytes[offset..<offset + count])
    }
}
