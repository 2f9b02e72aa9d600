// SPDX-License-Identifier: Apache-2.0

import CZlib
import CZstd
import OCI

/// Turns packed bytes into plain ones, buffer by buffer.
protocol Unpacker: AnyObject {
    /// Fills the buffer, or what is left into it; 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(FlattenError) -> Int
}

/// A layer that is not packed.
final class PlainUnpacker: Unpacker {
    private let input: PackedInput

    init(_ input: PackedInput) { self.input = input }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(FlattenError) -> Int {
        try input.read(into: buffer)
    }
}

/// Gzip (RFC 1952) with any number of members and nothing after the last; zlib checks the CRCs.
final class GzipUnpacker: Unpacker {
    private let input: PackedInput
    private var stream = z_stream()
    private var isInsideMember = false

    init(_ input: PackedInput) throws(FlattenError) {
        self.input = input
        // 15 bits of window, and 16 for the gzip wrapper.
        let result = inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        if result != Z_OK { throw .damagedLayer(input.layer.name, reason: "zlib cannot start (\(result))") }
    }

    deinit { inflateEnd(&stream) }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(FlattenError) -> Int {
        var done = 0
        while done < buffer.count {
            if try !input.fill() {
                if isInsideMember || input.totalBytes == 0 { throw damaged("its gzip data ends early") }
                break
            }
            if !isInsideMember { try beginMember() }
            done += try inflate(into: UnsafeMutableRawBufferPointer(rebasing: buffer[done...]))
        }
        return done
    }

    private func beginMember() throws(FlattenError) {
        if input.pending.first != 0x1F {
            let isFirst = stream.total_in == 0
            let reason =
                isFirst ? "it is not gzip, against its media type" : "bytes follow the end of its gzip data"
            throw damaged(reason)
        }
        inflateReset(&stream)
        isInsideMember = true
    }

    private func inflate(into target: UnsafeMutableRawBufferPointer) throws(FlattenError) -> Int {
        let source = input.pending.assumingMemoryBound(to: UInt8.self)
        stream.next_in = UnsafeMutablePointer(mutating: source.baseAddress)
        stream.avail_in = UInt32(source.count)
        stream.next_out = target.assumingMemoryBound(to: UInt8.self).baseAddress
        stream.avail_out = UInt32(target.count)
        let result = CZlib.inflate(&stream, Z_NO_FLUSH)
        input.consume(source.count - Int(stream.avail_in))
        switch result {
        case Z_OK: break
        case Z_STREAM_END: isInsideMember = false
        default:
            let text = stream.msg.map { String(cString: $0) } ?? "zlib error \(result)"
            throw damaged("its gzip data is invalid (\(text))")
        }
        return target.count - Int(stream.avail_out)
    }

    private func damaged(_ reason: String) -> FlattenError {
        .damagedLayer(input.layer.name, reason: reason)
    }
}

/// Zstandard (RFC 8878) with any number of frames; a window above 128 MiB is refused, as `zstd` itself does.
final class ZstdUnpacker: Unpacker {
    private static let windowLog: Int32 = 27

    private let input: PackedInput
    private let context: OpaquePointer
    private var isInsideFrame = false

    init(_ input: PackedInput) throws(FlattenError) {
        self.input = input
        guard let context = ZSTD_createDCtx() else {
            throw .damagedLayer(input.layer.name, reason: "zstd cannot start")
        }
        self.context = context
        ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Self.windowLog)
    }

    deinit { ZSTD_freeDCtx(context) }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(FlattenError) -> Int {
        var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
        while output.pos < output.size {
            let hasInput = try input.fill()
            if !hasInput, !isInsideFrame, input.totalBytes > 0 { break }
            let before = output.pos
            var source = ZSTD_inBuffer(src: input.pending.baseAddress, size: input.pending.count, pos: 0)
            let result = ZSTD_decompressStream(context, &output, &source)
            input.consume(source.pos)
            if ZSTD_isError(result) != 0 {
                throw damaged("its zstd data is invalid (\(String(cString: ZSTD_getErrorName(result))))")
            }
            isInsideFrame = result != 0
            if !hasInput, isInsideFrame || input.totalBytes == 0, output.pos == before {
                throw damaged("its zstd data ends early")
            }
        }
        return output.pos
    }

    private func damaged(_ reason: String) -> FlattenError {
        .damagedLayer(input.layer.name, reason: reason)
    }
}
