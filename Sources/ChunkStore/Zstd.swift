// SPDX-License-Identifier: Apache-2.0

import Blocks
import CZstd

/// A compressor that keeps its memory between chunks; used by one thread at a time.
final class ZstdCompressor {
    private let context: OpaquePointer

    /// - Parameter level: as of zstd, 1 to 19.
    init?(level: Int32) {
        guard let context = ZSTD_createCCtx() else { return nil }
        self.context = context
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 0)
    }

    deinit {
        ZSTD_freeCCtx(context)
    }

    /// One frame of the bytes; nil when it would not be shorter than they are.
    func compress(_ bytes: [UInt8]) -> [UInt8]? {
        var length = 0
        let frame = [UInt8](unsafeUninitializedCapacity: bytes.count) { target, count in
            let result = bytes.withUnsafeBytes {
                ZSTD_compress2(context, target.baseAddress, target.count, $0.baseAddress, $0.count)
            }
            // An error here means that the target is too small, which is the sign of bytes that do not
            // shrink.
            length = ZSTD_isError(result) != 0 ? bytes.count : result
            count = ZSTD_isError(result) != 0 ? 0 : result
        }
        return length < bytes.count ? frame : nil
    }
}

enum Zstd {
    /// The plain bytes of one frame; nil unless they are exactly `byteCount`.
    static func decompress(_ frame: [UInt8], byteCount: Int) -> [UInt8]? {
        precondition(byteCount <= Block.maximumChunkBytes, "no more than a chunk is decompressed in one go")
        var succeeded = false
        let bytes = [UInt8](unsafeUninitializedCapacity: byteCount) { target, count in
            let result = frame.withUnsafeBytes {
                ZSTD_decompress(target.baseAddress, target.count, $0.baseAddress, $0.count)
            }
            succeeded = ZSTD_isError(result) == 0 && result == byteCount
            count = succeeded ? byteCount : 0
        }
        return succeeded ? bytes : nil
    }
}
