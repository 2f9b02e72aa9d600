// SPDX-License-Identifier: Apache-2.0

import CArchive
import Ext4
import OCI

/// Reads the tar of a layer with libarchive: ustar, pax, GNU, and their sparse forms; no other format is enabled.
final class TarReader {
    private let archive: OpaquePointer
    private let source: Source
    private let layer: String
    private var entry: OpaquePointer?
    private var lastName: [UInt8] = []
    private(set) var entryCount: UInt32 = 0

    /// - Parameter onBuffer: called at each new buffer; what it throws ends the reading.
    init(_ stream: LayerStream, onBuffer: @escaping () throws(FlattenError) -> Void) throws(FlattenError) {
        layer = stream.layer.name
        source = Source(stream, onBuffer)
        guard let archive = archive_read_new() else {
            throw .badTar(layer, after: "", reason: "libarchive cannot start")
        }
        self.archive = archive
        archive_read_support_format_tar(archive)
        // Names are bytes: no conversion between character sets, whatever a header says.
        archive_read_set_options(archive, "hdrcharset=BINARY")
        let context = Unmanaged.passUnretained(source).toOpaque()
        if archive_read_open(archive, context, nil, Self.readCallback, nil) != ARCHIVE_OK { throw failure() }
    }

    deinit { archive_read_free(archive) }

    /// The next entry; nil at the end of the tar.
    func next() throws(FlattenError) -> TarEntry? {
        var entry: OpaquePointer?
        try checkNextHeaders()
        let result = archive_read_next_header(archive, &entry)
        if result == ARCHIVE_EOF { return nil }
        // A warning is about a header that we do not use, such as file flags.
        if result != ARCHIVE_OK && result != ARCHIVE_WARN { throw failure() }
        self.entry = entry
        guard let entry else { throw failure() }
        lastName = EntryFields.name(entry)
        if let reason = source.complaint {
            throw .badEntry(layer: layer, entry: printable(lastName), reason: reason)
        }
        let ordinal = entryCount
        entryCount += 1
        do throws(BadField) {
            return TarEntry(
                name: lastName, kind: try EntryFields.kind(entry),
                attributes: try EntryFields.attributes(entry),
                ordinal: ordinal)
        } catch {
            throw .badEntry(layer: layer, entry: printable(lastName), reason: error.reason)
        }
    }

    /// Has the raw headers of the next entry looked at while libarchive reads them.
    private func checkNextHeaders() throws(FlattenError) {
        // What is left of the entry's data goes first, so that the position is that of the next header.
        if entry != nil, archive_read_data_skip(archive) != ARCHIVE_OK { throw failure() }
        source.checkHeaders(from: archive_filter_bytes(archive, 0))
    }

    /// Hands over the data of the current entry in ascending pieces; holes of sparse files are left out.
    func readData(_ body: (DataPiece) throws(FlattenError) -> Void) throws(FlattenError) {
        var bytes: UnsafeRawPointer?
        var count = 0
        var offset: la_int64_t = 0
        while true {
            let result = archive_read_data_block(archive, &bytes, &count, &offset)
            if result == ARCHIVE_EOF { return }
            if result != ARCHIVE_OK { throw failure() }
            if offset < 0 {
                throw .badEntry(
                    layer: layer, entry: printable(lastName), reason: "its sparse map has a negative offset")
            }
            if count == 0 { continue }
            try body(
                DataPiece(offset: UInt64(offset), bytes: UnsafeRawBufferPointer(start: bytes, count: count)))
        }
    }

    /// Reads past the end of the tar, so that the whole layer is checked.
    func finish() throws(FlattenError) {
        try source.finish()
    }

    /// What went wrong: trouble with the bytes themselves goes before what libarchive makes of them.
    private func failure() -> FlattenError {
        if let error = source.failure { return error }
        let text = archive_error_string(archive).map { String(cString: $0) } ?? "unknown error"
        let complaint = source.complaint
        // A damaged layer is told by its digest; only if that fits, the tar is to blame.
        do throws(FlattenError) { try source.finish() } catch { return error }
        let reason = complaint ?? printable(Array(text.utf8))
        return .badTar(layer, after: printable(lastName), reason: reason)
    }

    /// Hands the buffers of a layer to libarchive, and keeps the one that it works on.
    private final class Source {
        private let stream: LayerStream
        private let onBuffer: () throws(FlattenError) -> Void
        private var current: PlainBuffer?
        /// Where the current buffer begins in the layer.
        private var offset: Int64 = 0
        private var headers = TarHeaderCheck()
        private(set) var failure: FlattenError?

        init(_ stream: LayerStream, _ onBuffer: @escaping () throws(FlattenError) -> Void) {
            self.stream = stream
            self.onBuffer = onBuffer
        }

        /// nil at the end and after a failure.
        func next() -> UnsafeRawBufferPointer? {
            if failure != nil { return nil }
            do throws(FlattenError) {
                if let current {
                    offset += Int64(current.count)
                    stream.recycle(current)
                }
                current = nil
                try onBuffer()
                current = try stream.next()
            } catch {
                failure = error
            }
            if let current { headers.add(current.filled) }
            return current?.filled
        }

        /// What is wrong with the headers that were read since `checkHeaders`.
        var complaint: String? { headers.complaint }

        /// - Parameter position: of the next header; it lies in the current buffer, or follows it.
        func checkHeaders(from position: Int64) {
            headers.restart()
            if position < offset { return headers.refuse("its header cannot be followed") }
            guard let current, position - offset < current.count else { return }
            headers.add(UnsafeRawBufferPointer(rebasing: current.filled[Int(position - offset)...]))
        }

        func finish() throws(FlattenError) {
            while next() != nil {}
            if let failure { throw failure }
        }
    }

    private static let readCallback:
        @convention(c) (
            OpaquePointer?, UnsafeMutableRawPointer?, UnsafeMutablePointer<UnsafeRawPointer?>?
        ) -> la_ssize_t = { archive, context, buffer in
            guard let context, let buffer else { return -1 }
            let source = Unmanaged<Source>.fromOpaque(context).takeUnretainedValue()
            guard let bytes = source.next() else {
                if source.failure == nil { return 0 }
                return -1
            }
            buffer.pointee = bytes.baseAddress
            return bytes.count
        }
}

/// A field of a header holds what no file can have.
struct BadField: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}
