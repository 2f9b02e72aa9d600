// SPDX-License-Identifier: Apache-2.0

import Blocks

/// Cuts the data of one file after the other into chunks of whole blocks, counted from the file's start.
///
/// How the tar writes holes makes no difference: a chunk is what the file has there, zeros in every gap.
final class FileCutter {
    private static let chunkBytes = UInt64(Block.maximumChunkBytes)

    private let sink: (_ fileBlock: UInt32, UnsafeRawBufferPointer) throws(FlattenError) -> Void
    private let staging: UnsafeMutableRawBufferPointer
    private var sizeBytes: UInt64 = 0
    /// Where the next byte may lie; data comes in ascending order.
    private var position: UInt64 = 0
    /// The chunk that `staging` holds, up to `position`.
    private var stagedBase: UInt64?

    /// - Parameter sink: takes the bytes of a chunk, whole blocks, which are valid inside the call.
    init(sink: @escaping (_ fileBlock: UInt32, UnsafeRawBufferPointer) throws(FlattenError) -> Void) {
        self.sink = sink
        staging = .allocate(byteCount: Block.maximumChunkBytes, alignment: 64)
    }

    deinit { staging.deallocate() }

    func begin(sizeBytes: UInt64) {
        self.sizeBytes = sizeBytes
        position = 0
        stagedBase = nil
    }

    /// Whether the piece lies behind the ones before it and within the file.
    func accepts(_ piece: DataPiece) -> Bool {
        let (end, overflow) = piece.offset.addingReportingOverflow(UInt64(piece.bytes.count))
        return !overflow && piece.offset >= position && end <= sizeBytes
    }

    func add(_ piece: DataPiece) throws(FlattenError) {
        precondition(accepts(piece), "pieces ascend and lie within the file")
        var offset = piece.offset
        var rest = piece.bytes
        while !rest.isEmpty {
            let base = offset / Self.chunkBytes * Self.chunkBytes
            if let stagedBase, stagedBase != base { try flush(stagedBase) }
            let count = Int(min(UInt64(rest.count), base + Self.chunkBytes - offset))
            let part = UnsafeRawBufferPointer(rebasing: rest[..<count])
            if stagedBase == nil, count == Block.maximumChunkBytes {
                try sink(UInt32(base / UInt64(Block.bytes)), part)
            } else {
                stage(part, at: offset, base)
            }
            offset += UInt64(count)
            position = offset
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Hands over the last chunk.
    func end() throws(FlattenError) {
        if let stagedBase { try flush(stagedBase) }
    }

    private func stage(_ bytes: UnsafeRawBufferPointer, at offset: UInt64, _ base: UInt64) {
        let from = stagedBase == nil ? 0 : Int(position - base)
        let start = Int(offset - base)
        zero(from..<start)
        UnsafeMutableRawBufferPointer(rebasing: staging[start...]).copyMemory(from: bytes)
        stagedBase = base
    }

    private func flush(_ base: UInt64) throws(FlattenError) {
        let length = min(Self.chunkBytes, sizeBytes - base)
        let count = Int(Block.count(forBytes: length)) * Block.bytes
        zero(Int(position - base)..<count)
        stagedBase = nil
        try sink(UInt32(base / UInt64(Block.bytes)), UnsafeRawBufferPointer(rebasing: staging[..<count]))
    }

    private func zero(_ range: Range<Int>) {
        if range.isEmpty { return }
        UnsafeMutableRawBufferPointer(rebasing: staging[range]).initializeMemory(as: UInt8.self, repeating: 0)
    }
}
