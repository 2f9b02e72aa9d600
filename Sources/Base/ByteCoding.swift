// SPDX-License-Identifier: Apache-2.0

// Inlinable throughout: block maps and tables of places are read and written field by field, a hundred
// thousand fields at a time, by modules above this one.

/// Builds a little-endian byte image, field by field: the layout of a Swift type is never a disk format.
public struct ByteWriter {
    @usableFromInline var storage: [UInt8] = []

    public var bytes: [UInt8] { storage }

    public init(capacity: Int = 0) {
        storage.reserveCapacity(capacity)
    }

    @inlinable
    public mutating func put<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        withUnsafeBytes(of: value.littleEndian) { storage.append(contentsOf: $0) }
    }

    @inlinable
    public mutating func put(_ raw: [UInt8]) {
        storage.append(contentsOf: raw)
    }

    /// Appends the 32 bytes of a digest.
    @inlinable
    public mutating func put(_ digest: Digest) {
        put(digest.words.0.byteSwapped)
        put(digest.words.1.byteSwapped)
        put(digest.words.2.byteSwapped)
        put(digest.words.3.byteSwapped)
    }

    public mutating func pad(to count: Int) {
        precondition(storage.count <= count, "already longer than the padding asks for")
        storage.append(contentsOf: repeatElement(0, count: count - storage.count))
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
    @usableFromInline let bytes: [UInt8]
    @usableFromInline var position: Int

    public var offset: Int { position }

    public init(_ bytes: [UInt8], at offset: Int = 0) {
        precondition(offset >= 0, "a reader begins before its bytes")
        self.bytes = bytes
        position = offset
    }

    @inlinable public var remaining: Int { bytes.count - position }

    @inlinable
    public mutating func take<T: FixedWidthInteger & BitwiseCopyable>(
        _: T.Type
    ) throws(TruncatedBytes) -> T {
        if remaining < MemoryLayout<T>.size { throw TruncatedBytes(offset: position) }
        // A position lies within the bytes from the start on, and the check above keeps it there.
        let value = bytes.withUnsafeBytes {
            T(littleEndian: $0.loadUnaligned(fromByteOffset: position, as: T.self))
        }
        position += MemoryLayout<T>.size
        return value
    }

    public mutating func take(count: Int) throws(TruncatedBytes) -> [UInt8] {
        if count < 0 || remaining < count { throw TruncatedBytes(offset: position) }
        defer { position += count }
        return Array(bytes[position..<position + count])
    }

    /// Reads the 32 bytes of a digest.
    @inlinable
    public mutating func takeDigest() throws(TruncatedBytes) -> Digest {
        if remaining < Digest.byteCount { throw TruncatedBytes(offset: position) }
        return Digest(
            words: (
                try take(UInt64.self).byteSwapped, try take(UInt64.self).byteSwapped,
                try take(UInt64.self).byteSwapped, try take(UInt64.self).byteSwapped
            ))
    }
}
