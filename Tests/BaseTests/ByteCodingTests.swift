// SPDX-License-Identifier: Apache-2.0

import Base
import Testing

@Suite struct ByteCodingTests {
    @Test func writesLittleEndian() {
        var writer = ByteWriter()
        writer.put(0x12 as UInt8)
        writer.put(0x3456 as UInt16)
        writer.put(0x789A_BCDE as UInt32)
        writer.put(0x0102_0304_0506_0708 as UInt64)
        writer.put(-2 as Int32)
        writer.put(-1 as Int8)
        #expect(
            writer.bytes == [
                0x12, 0x56, 0x34, 0xDE, 0xBC, 0x9A, 0x78, 8, 7, 6, 5, 4, 3, 2, 1, 0xFE, 0xFF, 0xFF, 0xFF,
                0xFF,
            ])
    }

    @Test func readsBackWhatWasWritten() throws {
        var writer = ByteWriter(capacity: 64)
        writer.put(UInt8.max)
        writer.put(Int16.min)
        writer.put(UInt32.max)
        writer.put(Int64.min)
        writer.put(UInt64.max)
        writer.put([1, 2, 3])
        var reader = ByteReader(writer.bytes)
        #expect(try reader.take(UInt8.self) == .max)
        #expect(try reader.take(Int16.self) == .min)
        #expect(try reader.take(UInt32.self) == .max)
        #expect(try reader.take(Int64.self) == .min)
        #expect(try reader.take(UInt64.self) == .max)
        #expect(try reader.take(count: 3) == [1, 2, 3])
        #expect(reader.remaining == 0)
    }

    @Test func padsWithZeros() {
        var writer = ByteWriter()
        writer.put(7 as UInt16)
        writer.pad(to: 5)
        #expect(writer.bytes == [7, 0, 0, 0, 0])
        writer.pad(to: 5)
        #expect(writer.bytes.count == 5)
    }

    @Test func neverReadsPastTheEnd() throws {
        var reader = ByteReader([1, 2, 3, 4, 5], at: 1)
        #expect(throws: TruncatedBytes(offset: 1)) { try reader.take(UInt64.self) }
        #expect(try reader.take(UInt32.self) == 0x0504_0302)
        #expect(throws: TruncatedBytes(offset: 5)) { try reader.take(UInt8.self) }
        #expect(throws: TruncatedBytes(offset: 5)) { try reader.take(count: 1) }
        #expect(try reader.take(count: 0) == [])
    }

    @Test(arguments: [-1, Int.min, 3, Int.max])
    func refusesHostileCounts(count: Int) {
        var reader = ByteReader([1, 2])
        #expect(throws: TruncatedBytes(offset: 0)) { try reader.take(count: count) }
        #expect(reader.offset == 0)
    }

    @Test func aStartBeyondTheEndIsTruncation() {
        var reader = ByteReader([1], at: 9)
        #expect(throws: TruncatedBytes(offset: 9)) { try reader.take(UInt8.self) }
    }
}
