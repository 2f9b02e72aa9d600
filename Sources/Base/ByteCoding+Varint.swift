// SPDX-License-Identifier: Apache-2.0

// Numbers that are mostly small: seven bits a byte, the lowest first, the top bit set on all but the last byte.

extension ByteWriter {
    /// Appends a number in one to ten bytes.
    public mutating func putVarint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            put(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        put(UInt8(rest))
    }

    /// Appends a number of either sign, small ones in few bytes.
    public mutating func putSignedVarint(_ value: Int64) {
        putVarint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }
}

extension ByteReader {
    /// Reads a number; nil when it has more than 64 bits or more bytes than it needs.
    public mutating func takeVarint() throws(TruncatedBytes) -> UInt64? {
        var value: UInt64 = 0
        for shift in stride(from: 0, through: 63, by: 7) {
            let byte = try take(UInt8.self)
            let bits = UInt64(byte & 0x7F)
            let moved = bits << UInt64(shift)
            if moved >> UInt64(shift) != bits { return nil }
            value |= moved
            if byte < 0x80 { return byte == 0 && shift > 0 ? nil : value }
        }
        return nil
    }

    /// Reads a number that `putSignedVarint` wrote.
    public mutating func takeSignedVarint() throws(TruncatedBytes) -> Int64? {
        guard let raw = try takeVarint() else { return nil }
        return Int64(bitPattern: raw >> 1) ^ -Int64(bitPattern: raw & 1)
    }
}
