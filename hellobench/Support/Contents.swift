// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Root file systems that are made only to be measured; the same for the same arguments.
enum Contents {
    /// One large file and others of 16 KiB to 4 MiB, of random bytes, which no store can compress or
    /// deduplicate.
    static func random(bytes total: Int, largeBytes: Int, to descriptor: Int32) throws(BenchError) {
        var random = SplitMix(seed: 1)
        let tar = TarWriter(to: descriptor)
        try tar.directory("data")
        try randomFile(FileEngine.large, bytes: largeBytes, &random, tar)
        var written = largeBytes
        var index = 0
        while written < total {
            let bytes =
                Int.random(in: 4...1024, using: &random) * 4096 + Int.random(in: 0..<4096, using: &random)
            try randomFile("data/file-\(index)", bytes: bytes, &random, tar)
            written += bytes
            index += 1
        }
        try tar.finish()
    }

    private static func randomFile(
        _ name: String, bytes: Int, _ random: inout SplitMix, _ tar: TarWriter
    ) throws(BenchError) {
        try tar.file(name, bytes: bytes)
        var left = bytes
        while left > 0 {
            let part = min(left, 4 << 20)
            let content = (0..<(part + 7) / 8).map { _ in random.next() }
            try write(content, bytes: part, tar)
            left -= part
        }
        try tar.endFile(bytes: bytes)
    }

    /// Files of 64 MiB whose 64 KiB pieces come from a pool of 4,096 that compress well.
    ///
    /// So the store stays small, but every piece is an extent of its own, and the block map of the image has as
    /// many as one of the same size without any repetition: 16,384 for each GiB.
    static func repeating(gibibytes: Int, to descriptor: Int32) throws(BenchError) {
        let pieceWords = 65536 / 8
        let piecesPerFile = 1024
        let tar = TarWriter(to: descriptor)
        try tar.directory("data")
        for file in 0..<gibibytes * 16 {
            try tar.file("data/file-\(file)", bytes: piecesPerFile * 65536)
            for piece in 0..<piecesPerFile {
                // Neighbours differ by an odd step, so that no two of them could be one extent.
                let number = UInt64((file * piecesPerFile + piece) * 1543 % 4096 + 1)
                try write(
                    [UInt64](repeating: number &* 0x0101_0001_0100_0101, count: pieceWords), bytes: 65536, tar
                )
            }
            try tar.endFile(bytes: piecesPerFile * 65536)
        }
        try tar.finish()
    }

    private static func write(_ words: [UInt64], bytes: Int, _ tar: TarWriter) throws(BenchError) {
        var failure: BenchError?
        words.withUnsafeBytes { buffer in
            do throws(BenchError) {
                try tar.content(UnsafeRawBufferPointer(rebasing: buffer[..<bytes]))
            } catch { failure = error }
        }
        if let failure { throw failure }
    }
}

/// Steele, Lea and Flood's generator: the same numbers for the same seed everywhere.
struct SplitMix: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
        return mixed ^ mixed >> 31
    }
}
