// SPDX-License-Identifier: Apache-2.0

import CZstd

/// Whole blobs as one zstd frame each.
enum ZstdFrame {
    /// Level for maps: they are small, and digests do not shrink at any level.
    static let level: Int32 = 3

    /// The bytes as one frame that tells its plain length; nil when memory is short.
    static func compress(_ plain: [UInt8]) -> [UInt8]? {
        var succeeded = false
        let frame = [UInt8](unsafeUninitializedCapacity: ZSTD_compressBound(plain.count)) { target, count in
            let result = plain.withUnsafeBytes {
                ZSTD_compress(target.baseAddress, target.count, $0.baseAddress, $0.count, level)
            }
            succeeded = ZSTD_isError(result) == 0
            count = succeeded ? result : 0
        }
        return succeeded ? frame : nil
    }

    /// The plain bytes of exactly one frame; nil unless it says that they are `byteCount` and they are.
    ///
    /// Takes `byteCount` bytes of memory whatever the frame holds: it is decompressed straight into them.
    static func decompress(_ frame: [UInt8], byteCount: Int) -> [UInt8]? {
        let isOneFrame = frame.withUnsafeBytes { bytes -> Bool in
            let length = ZSTD_findFrameCompressedSize(bytes.baseAddress, bytes.count)
            return ZSTD_isError(length) == 0 && length == bytes.count
                && ZSTD_getFrameContentSize(bytes.baseAddress, bytes.count) == UInt64(byteCount)
        }
        if !isOneFrame { return nil }
        var succeeded = false
        let plain = [UInt8](unsafeUninitializedCapacity: byteCount) { target, count in
            let result = frame.withUnsafeBytes {
                ZSTD_decompress(target.baseAddress, target.count, $0.baseAddress, $0.count)
            }
            succeeded = ZSTD_isError(result) == 0 && result == byteCount
            count = succeeded ? byteCount : 0
        }
        return succeeded ? plain : nil
    }
}
