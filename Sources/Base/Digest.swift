// SPDX-License-Identifier: Apache-2.0

import Crypto

/// A SHA-256 digest as four words, so that it compares and hashes without touching memory elsewhere.
public struct Digest: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// Bytes in a digest.
    public static let byteCount = 32

    /// The digest in big-endian words: the first holds the first eight bytes.
    public let words: (UInt64, UInt64, UInt64, UInt64)

    public init(words: (UInt64, UInt64, UInt64, UInt64)) {
        self.words = words
    }

    /// Reads 32 bytes; nil when there are fewer or more.
    public init?(bytes: some Sequence<UInt8>) {
        var words: [UInt64] = [0, 0, 0, 0]
        var count = 0
        for byte in bytes {
            if count == Self.byteCount { return nil }
            words[count / 8] = words[count / 8] << 8 | UInt64(byte)
            count += 1
        }
        if count != Self.byteCount { return nil }
        self.words = (words[0], words[1], words[2], words[3])
    }

    /// Reads 64 lower-case hexadecimal digits; nil for anything else: it may become part of a path.
    public init?(hex: some StringProtocol) {
        let digits = Array(hex.utf8)
        guard digits.count == 2 * Self.byteCount else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.byteCount)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = Self.nibble(digits[index]), let low = Self.nibble(digits[index + 1]) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        self.init(bytes: bytes)
    }

    /// The 32 bytes, as they stand in a file.
    public var bytes: [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(Self.byteCount)
        for word in [words.0, words.1, words.2, words.3] {
            for shift in stride(from: 56, through: 0, by: -8) {
                result.append(UInt8(truncatingIfNeeded: word >> shift))
            }
        }
        return result
    }

    /// 64 lower-case hexadecimal digits.
    public var hex: String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    /// The form in which OCI documents name content: `sha256:` and the hexadecimal digits.
    public var description: String { "sha256:" + hex }

    public static func == (left: Digest, right: Digest) -> Bool {
        left.words == right.words
    }

    public static func < (left: Digest, right: Digest) -> Bool {
        left.words < right.words
    }

    /// What dictionaries and sets ask for: two multiplications in place of the standard library's SipHash.
    ///
    /// A push looks up some hundred thousand chunks, and hashing took a third of its time. All of the digest goes
    /// in, mixed with secrets of this process: digests that a hostile block map merely claims could agree in any
    /// one word, and must not be told in which bucket they come.
    @inlinable
    public func _rawHashValue(seed: Int) -> Int {
        let keys = DigestHashKeys.ofProcess
        let first = (words.0 ^ keys.first ^ UInt64(truncatingIfNeeded: seed))
            .multipliedFullWidth(by: words.1 ^ keys.second)
        let second = (words.2 ^ keys.third).multipliedFullWidth(by: words.3 ^ keys.fourth)
        let mixed = (first.high ^ first.low) &+ (second.high ^ second.low).byteSwapped
        let last = mixed.multipliedFullWidth(by: keys.last)
        return Int(truncatingIfNeeded: last.high ^ last.low)
    }

    public func hash(into hasher: inout Hasher) {
        // All of it: digests that a hostile block map merely claims could agree in any one word.
        hasher.combine(words.0)
        hasher.combine(words.1)
        hasher.combine(words.2)
        hasher.combine(words.3)
    }

    private static func nibble(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        default: nil
        }
    }
}

/// SHA-256 over bytes that come in pieces.
public struct DigestHasher {
    private var state = SHA256()

    public init() {}

    public mutating func update(_ bytes: UnsafeRawBufferPointer) {
        state.update(bufferPointer: bytes)
    }

    public mutating func update(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { state.update(bufferPointer: $0) }
    }

    /// The digest of all that was given so far; more may follow.
    public func digest() -> Digest {
        Digest(state.finalize())
    }
}

extension Digest {
    public init(hashing bytes: UnsafeRawBufferPointer) {
        var hasher = SHA256()
        hasher.update(bufferPointer: bytes)
        self.init(hasher.finalize())
    }

    public init(hashing bytes: [UInt8]) {
        self = bytes.withUnsafeBytes { Digest(hashing: $0) }
    }

    fileprivate init(_ digest: SHA256.Digest) {
        self = digest.withUnsafeBytes { bytes in
            Digest(
                words: (
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)),
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)),
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)),
                    UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 24, as: UInt64.self))
                ))
        }
    }
}

/// Secrets with which digests are hashed, drawn when the process starts.
@usableFromInline
struct DigestHashKeys: Sendable {
    @usableFromInline let first = UInt64.random(in: .min ... .max)
    @usableFromInline let second = UInt64.random(in: .min ... .max)
    @usableFromInline let third = UInt64.random(in: .min ... .max)
    @usableFromInline let fourth = UInt64.random(in: .min ... .max)
    /// Odd, so that no bit of what it multiplies is lost.
    @usableFromInline let last = UInt64.random(in: .min ... .max) | 1

    @usableFromInline static let ofProcess = DigestHashKeys()
}
