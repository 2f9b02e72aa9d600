// SPDX-License-Identifier: Apache-2.0

import Base
import TestSupport
import Testing

@Suite struct DigestTests {
    /// Test vectors of FIPS 180-4 (examples of NIST).
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func hashesKnownTexts(text: String, hex: String) {
        let digest = Digest(hashing: Array(text.utf8))
        #expect(digest.hex == hex)
        #expect(digest.description == "sha256:" + hex)
        #expect(Digest(hex: hex) == digest)
        #expect(Digest(bytes: digest.bytes) == digest)
    }

    @Test func hashesAMillionLetters() {
        let hex = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        #expect(Digest(hashing: [UInt8](repeating: UInt8(ascii: "a"), count: 1_000_000)).hex == hex)
    }

    @Test(arguments: [1, 7, 64, 1000])
    func piecesHashLikeTheWhole(pieceBytes: Int) {
        let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0 * 31) }
        var hasher = DigestHasher()
        for start in stride(from: 0, to: bytes.count, by: pieceBytes) {
            hasher.update(Array(bytes[start..<min(start + pieceBytes, bytes.count)]))
        }
        #expect(hasher.digest() == Digest(hashing: bytes))
    }

    @Test func aDigestInBetweenDoesNotEndTheHasher() {
        var hasher = DigestHasher()
        hasher.update(Array("ab".utf8))
        #expect(hasher.digest() == Digest(hashing: Array("ab".utf8)))
        hasher.update(Array("c".utf8))
        #expect(hasher.digest() == Digest(hashing: Array("abc".utf8)))
    }

    @Test(arguments: [0, 1, 31, 33, 64])
    func onlyThirtyTwoBytesAreADigest(count: Int) {
        #expect(Digest(bytes: [UInt8](repeating: 1, count: count)) == nil)
    }

    @Test(arguments: [
        "", "ab", String(repeating: "0", count: 63), String(repeating: "0", count: 65),
        String(repeating: "G", count: 64), String(repeating: "A", count: 64),
        String(repeating: "0", count: 62) + "/.", String(repeating: "0", count: 60) + "é",
        "../" + String(repeating: "0", count: 61), String(repeating: " ", count: 64),
    ])
    func onlyLowerCaseHexadecimalIsADigest(text: String) {
        #expect(Digest(hex: text) == nil)
    }

    @Test func ordersAsItsBytesDo() throws {
        var seed = SplitMix(seed: 7)
        let digests = (0..<200).map { _ in
            Digest(words: (seed.next(), seed.next(), UInt64.random(in: 0...1, using: &seed), seed.next()))
        }
        let byWords = digests.sorted().map(\.hex)
        #expect(byWords == digests.map(\.hex).sorted())
    }

    @Test func digestsThatShareWordsStayApartInASet() {
        let digests = (0..<1000 as Range<UInt64>).map { Digest(words: (1, 2, 3, $0)) }
        #expect(Set(digests).count == digests.count)
        #expect(Set(digests.map(\.hashValue)).count > 990)
    }

    @Test("digests that agree in three words are told apart by the rest, whichever it is", arguments: 0..<4)
    func buckets(word: Int) {
        let digests = (0..<4096).map { number in
            var words: [UInt64] = [7, 7, 7, 7]
            // In the upper bits, which a product's lower half would lose.
            words[word] = UInt64(number) << 52
            return Digest(words: (words[0], words[1], words[2], words[3]))
        }
        let buckets = Set(digests.map { $0._rawHashValue(seed: 1) & 4095 })
        // Of 4096 balls thrown at random into as many bins, 63% of the bins get one.
        #expect(buckets.count > 2300)
        #expect(Set(digests).count == 4096)
        #expect(digests[5]._rawHashValue(seed: 1) == Digest(words: digests[5].words)._rawHashValue(seed: 1))
    }
}
