// SPDX-License-Identifier: Apache-2.0

/// The half-MD4 hash of file names, `fs/ext4/hash.c` of the Linux kernel, for names as signed characters.
struct DirectoryHash {
    /// Version number in an index root.
    static let version: UInt8 = 1
    /// The flag of a superblock whose hashes take characters as signed.
    static let signedFlag: UInt32 = 1
    /// The fixed seed of every file system that is formatted here.
    static let seed: [UInt32] = [0x6C73_6B63, 0x6872_6465, 0x9AB4_11D3, 0x2F0E_77C1]

    /// What orders the entries: even, below 0xFFFF_FFFE.
    let major: UInt32
    let minor: UInt32

    init(_ name: Span<UInt8>) {
        var state = SIMD4<UInt32>(Self.seed[0], Self.seed[1], Self.seed[2], Self.seed[3])
        var offset = 0
        while offset < name.count {
            Self.transform(&state, Self.words(name, from: offset))
            offset += 32
        }
        let hash = state[1] & ~1
        // The largest value marks the end of a directory to readers.
        major = hash == 0xFFFF_FFFE ? 0xFFFF_FFFC : hash
        minor = state[2]
    }

    /// Eight words of up to 32 characters; what is missing is padded with the length.
    private static func words(_ name: Span<UInt8>, from start: Int) -> SIMD8<UInt32> {
        let rest = UInt32(name.count - start)
        let half = rest | rest << 8
        let pad = half | half << 16
        var words = SIMD8<UInt32>(repeating: pad)
        var value = pad
        let count = min(32, name.count - start)
        for index in 0..<count {
            let character = UInt32(bitPattern: Int32(Int8(bitPattern: name[start + index])))
            value = character &+ value << 8
            if index & 3 == 3 {
                words[index / 4] = value
                value = pad
            }
        }
        if count < 32, count & 3 != 0 { words[count / 4] = value }
        return words
    }

    private static let orders: [[Int]] = [
        [0, 1, 2, 3, 4, 5, 6, 7], [1, 3, 5, 7, 0, 2, 4, 6], [3, 7, 2, 6, 1, 5, 0, 4],
    ]
    private static let shifts: [[UInt32]] = [[3, 7, 11, 19], [3, 5, 9, 13], [3, 9, 11, 15]]
    private static let constants: [UInt32] = [0, 0x5A82_7999, 0x6ED9_EBA1]

    private static func transform(_ state: inout SIMD4<UInt32>, _ input: SIMD8<UInt32>) {
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        for round in 0..<3 {
            for step in 0..<8 {
                let mixed =
                    switch round {
                    case 0: d ^ (b & (c ^ d))
                    case 1: (b & c) &+ ((b ^ c) & d)
                    default: b ^ c ^ d
                    }
                let sum = a &+ mixed &+ input[orders[round][step]] &+ constants[round]
                let shift = shifts[round][step & 3]
                let rotated = sum << shift | sum >> (32 - shift)
                (a, b, c, d) = (d, rotated, b, c)
            }
        }
        state = state &+ SIMD4(a, b, c, d)
    }
}
