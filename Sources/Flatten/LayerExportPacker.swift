// SPDX-License-Identifier: Apache-2.0

import Base
import CZlib
import CZstd
import OCI

/// Hashes, packs and stores the plain bytes of a layer as they come.
final class LayerPacker {
    private static let bufferBytes = 256 * 1024

    private let file: File
    private let stage: any PackingStage
    private var pending: [UInt8] = []
    private var plainHasher = DigestHasher()
    private var packedHasher = DigestHasher()
    private(set) var plainBytes: UInt64 = 0
    private var packedBytes: UInt64 = 0

    init(_ compression: LayerCompression, level: Int32, to file: File) throws(FlattenError) {
        self.file = file
        switch compression {
        case .none: stage = NoPacking()
        case .gzip: stage = try GzipPacking(level)
        case .zstd: stage = try ZstdPacking(level)
        }
        pending.reserveCapacity(Self.bufferBytes)
    }

    func add(_ bytes: some Collection<UInt8>) throws(FlattenError) {
        plainBytes += UInt64(bytes.count)
        pending += bytes
        if pending.count >= Self.bufferBytes { try flush(isLast: false) }
    }

    /// The rest, and what is known only now.
    func finish() throws(FlattenError) -> (digest: Digest, sizeBytes: UInt64, diffID: Digest) {
        try flush(isLast: true)
        return (packedHasher.digest(), packedBytes, plainHasher.digest())
    }

    private func flush(isLast: Bool) throws(FlattenError) {
        plainHasher.update(pending)
        let packed = try stage.pack(pending, isLast: isLast)
        pending.removeAll(keepingCapacity: true)
        packedHasher.update(packed)
        do throws(SystemError) { try file.write(packed, at: packedBytes) } catch { throw .system(error) }
        packedBytes += UInt64(packed.count)
    }
}

private protocol PackingStage: AnyObject {
    func pack(_ bytes: [UInt8], isLast: Bool) throws(FlattenError) -> [UInt8]
}

private final class NoPacking: PackingStage {
    func pack(_ bytes: [UInt8], isLast: Bool) throws(FlattenError) -> [UInt8] { bytes }
}

/// One member of gzip (RFC 1952) without name and time.
private final class GzipPacking: PackingStage {
    private var stream = z_stream()

    init(_ level: Int32) throws(FlattenError) {
        let result = deflateInit2_(
            &stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
            Int32(MemoryLayout<z_stream>.size))
        if result != Z_OK { throw .limit("layer", reason: "zlib cannot start (\(result))") }
    }

    deinit { deflateEnd(&stream) }

    func pack(_ bytes: [UInt8], isLast: Bool) throws(FlattenError) -> [UInt8] {
        var packed: [UInt8] = []
        var used = 0
        while true {
            var result = Z_OK
            var hasRoom = false
            packed += [UInt8](unsafeUninitializedCapacity: 64 * 1024) { target, count in
                bytes.withUnsafeBufferPointer { source in
                    stream.next_in = source.baseAddress.map { UnsafeMutablePointer(mutating: $0 + used) }
                    stream.avail_in = UInt32(source.count - used)
                    stream.next_out = target.baseAddress
                    stream.avail_out = UInt32(target.count)
                    result = deflate(&stream, isLast ? Z_FINISH : Z_NO_FLUSH)
                    used = source.count - Int(stream.avail_in)
                }
                count = target.count - Int(stream.avail_out)
                hasRoom = stream.avail_out > 0
            }
            // A call that has nothing to do is an "error" which means just that.
            if ![Z_OK, Z_STREAM_END, Z_BUF_ERROR].contains(result) {
                throw .limit("layer", reason: "zlib cannot go on (\(result))")
            }
            if isLast ? result == Z_STREAM_END : hasRoom && used == bytes.count { return packed }
        }
    }
}

/// One frame of zstd (RFC 8878).
private final class ZstdPacking: PackingStage {
    private let context: OpaquePointer

    init(_ level: Int32) throws(FlattenError) {
        guard let context = ZSTD_createCCtx() else { throw .limit("layer", reason: "zstd cannot start") }
        self.context = context
        ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
    }

    deinit { ZSTD_freeCCtx(context) }

    func pack(_ bytes: [UInt8], isLast: Bool) throws(FlattenError) -> [UInt8] {
        var packed: [UInt8] = []
        var used = 0
        while true {
            var left = 0
            packed += [UInt8](unsafeUninitializedCapacity: ZSTD_CStreamOutSize()) { target, count in
                var output = ZSTD_outBuffer(dst: target.baseAddress, size: target.count, pos: 0)
                bytes.withUnsafeBytes { source in
                    var input = ZSTD_inBuffer(src: source.baseAddress, size: source.count, pos: used)
                    left = ZSTD_compressStream2(
                        context, &output, &input, isLast ? ZSTD_e_end : ZSTD_e_continue)
                    used = input.pos
                }
                count = output.pos
            }
            if ZSTD_isError(left) != 0 {
                throw .limit(
                    "layer", reason: "zstd cannot go on (\(String(cString: ZSTD_getErrorName(left))))")
            }
            if used == bytes.count, !isLast || left == 0 { return packed }
        }
    }
}
