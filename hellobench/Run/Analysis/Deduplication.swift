// SPDX-License-Identifier: Apache-2.0

/// How much a set of images takes when what they have in common is stored once.
struct Deduplication {
    /// Bytes of all files of all layers of all images.
    private(set) var plain: UInt64 = 0
    /// Their layers as registries keep them, each image by itself.
    private(set) var packed: UInt64 = 0
    /// Their layers, those that several images share once.
    private(set) var layers: UInt64 = 0
    /// Each distinct file once.
    private(set) var files: UInt64 = 0
    /// Each distinct block of 4 KiB of a file once.
    private(set) var blocks: UInt64 = 0

    fileprivate struct Mark: Hashable {
        let first: UInt64
        let second: UInt64
    }

    fileprivate struct Facts {
        let files: [(mark: Mark, bytes: UInt64)]
    }

    private var seenLayers: [String: Facts] = [:]
    private var seenFiles: Set<Mark> = []
    private var seenBlocks: Set<Mark> = []

    static let blockBytes = 4096

    /// Adds a layer of an image.
    /// - Parameters:
    ///   - digest: two layers of the same digest are the same.
    ///   - packedBytes: its size as it is.
    ///   - open: gives its tar.
    mutating func add(
        digest: String, packedBytes: UInt64, open: () throws(BenchError) -> ByteStream
    ) throws(BenchError) {
        packed += packedBytes
        if let facts = seenLayers[digest] {
            plain += facts.files.reduce(0) { $0 + $1.bytes }
            return
        }
        layers += packedBytes
        var file = ContentMark()
        var block = ContentMark()
        var found: [(mark: Mark, bytes: UInt64)] = []
        var (newBlocks, blocks) = (self.seenBlocks, self.blocks)
        // The set is ours alone while it grows: a copy of it would be made for every block otherwise.
        self.seenBlocks = []
        try LayerTar(try open()).forEachFile { piece in
            file.add(piece)
            var rest = piece[...]
            while !rest.isEmpty {
                let part = rest.prefix(Self.blockBytes - block.count)
                block.add(UnsafeRawBufferPointer(rebasing: part))
                rest = rest.dropFirst(part.count)
                if block.count == Self.blockBytes {
                    if newBlocks.insert(Mark(block)).inserted { blocks += UInt64(block.count) }
                    block = ContentMark()
                }
            }
        } end: {
            if block.count > 0, newBlocks.insert(Mark(block)).inserted { blocks += UInt64(block.count) }
            found.append((Mark(file), UInt64(file.count)))
            (file, block) = (ContentMark(), ContentMark())
        }
        (seenBlocks, self.blocks) = (newBlocks, blocks)
        for (mark, bytes) in found {
            plain += bytes
            if seenFiles.insert(mark).inserted { files += bytes }
        }
        seenLayers[digest] = Facts(files: found)
    }

    var values: [String: Double] {
        [
            "plain": Double(plain), "gzip": Double(packed), "image": Double(layers), "file": Double(files),
            "chunk": Double(blocks),
        ]
    }
}

extension Deduplication.Mark {
    fileprivate init(_ content: ContentMark) {
        let value = content.value
        self.init(first: value.0, second: value.1)
    }
}

/// Tells contents apart: 128 bits that are as good as different for different bytes, unless somebody means
/// harm.
struct ContentMark {
    private var first: UInt64 = 0x9E37_79B9_7F4A_7C15
    private var second: UInt64 = 0xD1B5_4A32_D192_ED03
    private var pending: UInt64 = 0
    private(set) var count = 0

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        var index = 0
        // Words of eight bytes, wherever a piece begins.
        while index < bytes.count, count % 8 != 0 { addByte(bytes[index], &index) }
        while index + 8 <= bytes.count {
            mix(UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self)))
            index += 8
            count += 8
        }
        while index < bytes.count { addByte(bytes[index], &index) }
    }

    private mutating func addByte(_ byte: UInt8, _ index: inout Int) {
        pending |= UInt64(byte) << UInt64(count % 8 * 8)
        index += 1
        count += 1
        if count % 8 == 0 {
            mix(pending)
            pending = 0
        }
    }

    private mutating func mix(_ word: UInt64) {
        let product = (first ^ word).multipliedFullWidth(by: 0xA076_1D64_78BD_642F)
        let other = (second &+ word).multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
        first = product.high ^ product.low &+ second
        second = other.high ^ other.low &+ 0x8EBC_6AF0_9C88_C6E3
    }

    /// Of all that was added, and its length.
    var value: (UInt64, UInt64) {
        var last = self
        last.mix(pending)
        last.mix(UInt64(count))
        return (last.first, last.second)
    }
}
