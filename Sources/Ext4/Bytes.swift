// SPDX-License-Identifier: Apache-2.0

import Base

/// Little-endian fields at fixed places of a byte image, the way ext4's structures are described.
extension [UInt8] {
    /// The given number of zeros.
    init(zeros count: Int) {
        self.init(repeating: 0, count: count)
    }

    mutating func put<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        for index in 0..<T.bitWidth / 8 {
            self[offset + index] = UInt8(truncatingIfNeeded: value >> T(truncatingIfNeeded: 8 * index))
        }
    }

    mutating func put(_ bytes: some Collection<UInt8>, at offset: Int) {
        replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    /// The field at the offset; the caller has checked that it lies inside.
    func get<T: FixedWidthInteger>(_: T.Type, at offset: Int) -> T {
        var value: T = 0
        for index in 0..<T.bitWidth / 8 {
            value |= T(self[offset + index]) << T(truncatingIfNeeded: 8 * index)
        }
        return value
    }

    /// Whether every byte is zero.
    ///
    /// Metadata that is not zero shows it in its first bytes.
    var isAllZeros: Bool { allSatisfy { $0 == 0 } }
}

/// The checksums of feature metadata_csum: CRC-32C registers chained without inversion.
struct ChecksumSeed: Sendable {
    let register: UInt32

    /// The seed of a whole file system: its UUID.
    init(uuid: [UInt8]) {
        register = CRC32C.update(~0, uuid.span)
    }

    private init(register: UInt32) {
        self.register = register
    }

    /// The seed of all that belongs to an inode: directory blocks, extent blocks, the inode itself.
    func inode(_ number: UInt32, generation: UInt32 = 0) -> ChecksumSeed {
        var bytes = [UInt8](zeros: 8)
        bytes.put(number, at: 0)
        bytes.put(generation, at: 4)
        return ChecksumSeed(register: CRC32C.update(register, bytes.span))
    }

    /// The seed of an attribute block, which binds it to its place.
    func block(_ number: UInt64) -> ChecksumSeed {
        var bytes = [UInt8](zeros: 8)
        bytes.put(number, at: 0)
        return ChecksumSeed(register: CRC32C.update(register, bytes.span))
    }

    /// The seed of a group's descriptor.
    func group(_ number: UInt32) -> ChecksumSeed {
        var bytes = [UInt8](zeros: 4)
        bytes.put(number, at: 0)
        return ChecksumSeed(register: CRC32C.update(register, bytes.span))
    }

    func checksum(_ bytes: Span<UInt8>) -> UInt32 {
        CRC32C.update(register, bytes)
    }
}
