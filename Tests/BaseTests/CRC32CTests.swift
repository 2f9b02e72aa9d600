// SPDX-License-Identifier: Apache-2.0

import Base
import TestSupport
import Testing

@Suite struct CRC32CTests {
    /// RFC 3720, appendix B.4, and the check value of the CRC catalogues.
    private static let known: [(bytes: [UInt8], checksum: UInt32)] = [
        ([UInt8](repeating: 0, count: 32), 0x8A91_36AA),
        ([UInt8](repeating: 0xFF, count: 32), 0x62A8_AB43),
        ([UInt8](0..<32), 0x46DD_794E),
        ([UInt8]((0..<32).reversed()), 0x113F_DB5C),
        (Array("123456789".utf8), 0xE306_9283),
        ([], 0),
    ]

    @Test(arguments: known)
    func knownChecksums(bytes: [UInt8], checksum: UInt32) {
        #expect(CRC32C.checksum(bytes) == checksum)
        #expect(CRC32C.checksum(bytes.span) == checksum)
    }

    /// One bit at a time, straight from the definition.
    private func slow(_ bytes: some Sequence<UInt8>) -> UInt32 {
        var crc: UInt32 = ~0
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
        }
        return ~crc
    }

    @Test func everyLengthAndStartAgreesWithTheDefinition() {
        var random = SplitMix(seed: 3)
        let bytes = (0..<100).map { _ in UInt8.random(in: 0...255, using: &random) }
        for start in 0..<9 {
            for end in start...bytes.count {
                #expect(CRC32C.checksum(bytes.span.extracting(start..<end)) == slow(bytes[start..<end]))
            }
        }
    }

    @Test func aRunningRegisterContinues() {
        let bytes = [UInt8](0..<200)
        for cut in [0, 1, 8, 13, 199, 200] {
            var register: UInt32 = ~0
            register = CRC32C.update(register, bytes.span.extracting(0..<cut))
            register = CRC32C.update(register, bytes.span.extracting(cut..<200))
            #expect(~register == CRC32C.checksum(bytes))
        }
    }
}
