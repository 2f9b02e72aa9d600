// SPDX-License-Identifier: Apache-2.0

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4), eight bytes a step by tables.
public enum CRC32C {
    /// The checksum with the customary inversion before and after.
    public static func checksum(_ bytes: [UInt8]) -> UInt32 {
        ~update(~0, bytes.span)
    }

    public static func checksum(_ bytes: Span<UInt8>) -> UInt32 {
        ~update(~0, bytes)
    }

    /// Feeds bytes to a running register, without any inversion: what ext4's metadata checksums chain.
    public static func update(_ register: UInt32, _ bytes: Span<UInt8>) -> UInt32 {
        tables.withUnsafeBufferPointer { table in
            bytes.withUnsafeBytes { update(register, $0, table) }
        }
    }

    private static func update(
        _ register: UInt32, _ bytes: UnsafeRawBufferPointer, _ table: UnsafeBufferPointer<UInt32>
    ) -> UInt32 {
        var crc = register
        var offset = 0
        while offset + 8 <= bytes.count {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
            let low = UInt32(truncatingIfNeeded: word) ^ crc
            let high = UInt32(truncatingIfNeeded: word >> 32)
            crc =
                table[7 * 256 + Int(low & 255)]
                ^ table[6 * 256 + Int(low >> 8 & 255)]
                ^ table[5 * 256 + Int(low >> 16 & 255)]
                ^ table[4 * 256 + Int(low >> 24)]
                ^ table[3 * 256 + Int(high & 255)]
                ^ table[2 * 256 + Int(high >> 8 & 255)]
                ^ table[256 + Int(high >> 16 & 255)]
                ^ table[Int(high >> 24)]
            offset += 8
        }
        while offset < bytes.count {
            crc = table[Int((crc ^ UInt32(bytes[offset])) & 255)] ^ crc >> 8
            offset += 1
        }
        return crc
    }

    /// Table k gives the effect of one byte followed by k zero bytes.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var crc = UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
            tables[byte] = crc
        }
        for index in 256..<8 * 256 {
            let previous = tables[index - 256]
            tables[index] = tables[Int(previous & 255)] ^ previous >> 8
        }
        return tables
    }()
}
