// SPDX-License-Identifier: Apache-2.0

import Blocks
import Ext4

/// Which bytes of a file a tar holds, the rest being holes: the form that GNU tar calls 1.0 of its sparse formats
/// ("Storing Sparse Files" in its manual), which libarchive and Go's library read too.
struct SparseMap {
    struct Piece: Equatable {
        let offset: UInt64
        let byteCount: UInt64
    }

    /// Ascending, apart from each other, within the file.
    private(set) var pieces: [Piece] = []
    let sizeBytes: UInt64

    /// nil for a file without holes.
    init?(_ runs: [FileRun], sizeBytes: UInt64) {
        self.sizeBytes = sizeBytes
        for run in runs where run.isWritten {
            let start = UInt64(run.fileBlock) * UInt64(Block.bytes)
            let end = min(sizeBytes, start + UInt64(run.count) * UInt64(Block.bytes))
            if start >= end { continue }
            if let last = pieces.last, last.offset + last.byteCount == start {
                pieces[pieces.count - 1] = Piece(offset: last.offset, byteCount: end - last.offset)
            } else {
                pieces.append(Piece(offset: start, byteCount: end - start))
            }
        }
        if pieces.reduce(0, { $0 + $1.byteCount }) == sizeBytes { return nil }
        // A hole at the end is told by an empty piece.
        if pieces.last.map({ $0.offset + $0.byteCount }) != sizeBytes {
            pieces.append(Piece(offset: sizeBytes, byteCount: 0))
        }
    }

    /// What stands in front of the data: the number of pieces, and each one's place and length.
    var encoded: [UInt8] {
        let numbers = [UInt64(pieces.count)] + pieces.flatMap { [$0.offset, $0.byteCount] }
        let text = Array(numbers.map { "\($0)\n" }.joined().utf8)
        return text + TarHeader.padding(text.count)
    }

    /// Bytes of the entry in the tar.
    var storedBytes: UInt64 { UInt64(encoded.count) + pieces.reduce(0) { $0 + $1.byteCount } }
}
