// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// The bytes of a blob, one after the other.
///
/// Used by one thread at a time.
public protocol BlobStream: AnyObject {
    /// Fills the buffer, or what is left of the blob into it; returns the bytes read, 0 at the end.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(OCIError) -> Int
}

/// A blob that lies in a file: alone in it, or as a member of an archive.
struct BlobContent: Sendable {
    let file: File
    let offset: UInt64
    let sizeBytes: UInt64

    init(file: File, offset: UInt64, sizeBytes: UInt64) {
        self.file = file
        self.offset = offset
        self.sizeBytes = sizeBytes
    }

    init(wholeFile path: String) throws(OCIError) {
        let file = try mapped { () throws(SystemError) in try File(open: path, O_RDONLY) }
        self.init(file: file, offset: 0, sizeBytes: try OCI.sizeBytes(file))
    }

    func stream() -> any BlobStream {
        FileStream(self)
    }

    func prefix(_ count: Int) throws(OCIError) -> [UInt8] {
        let count = Int(min(UInt64(count), sizeBytes))
        return try mapped { () throws(SystemError) in try file.read(count: count, at: offset) }
    }

    /// All of it; for documents, which are small.
    func document(_ name: String) throws(OCIError) -> [UInt8] {
        if sizeBytes > UInt64(JSONDocument.limitBytes) {
            throw .limit(
                name, reason: "it has \(sizeBytes) bytes; documents have at most \(JSONDocument.limitBytes)")
        }
        return try prefix(Int(sizeBytes))
    }

    private final class FileStream: BlobStream {
        private let content: BlobContent
        private var position: UInt64 = 0

        init(_ content: BlobContent) {
            self.content = content
            // Advice only: a kernel that does not take it reads ahead less.
            _ = posix_fadvise(
                content.file.fd, off_t(content.offset), off_t(content.sizeBytes), POSIX_FADV_SEQUENTIAL)
        }

        func read(into buffer: UnsafeMutableRawBufferPointer) throws(OCIError) -> Int {
            let count = Int(min(UInt64(buffer.count), content.sizeBytes - position))
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            let offset = content.offset + position
            let done = try mapped { () throws(SystemError) in try content.file.read(into: part, at: offset) }
            position += UInt64(done)
            return done
        }
    }
}

/// A place where blobs are found by digest and other files by name.
protocol BlobPlace: Sendable {
    /// For error texts.
    var name: String { get }
    /// nil when there is none.
    func content(of member: String) throws(OCIError) -> BlobContent?
}

extension BlobPlace {
    /// The blob of a layout, its size checked against the descriptor's.
    func blob(_ descriptor: Descriptor) throws(OCIError) -> BlobContent {
        let member = "blobs/sha256/" + descriptor.digest.hex
        guard let content = try content(of: member) else { throw .missing(member, in: name) }
        if content.sizeBytes != descriptor.sizeBytes {
            throw .sizeMismatch(
                "\(descriptor.digest)", expected: descriptor.sizeBytes, actual: content.sizeBytes)
        }
        return content
    }

    /// A document, checked against its digest.
    func document(_ descriptor: Descriptor) throws(OCIError) -> [UInt8] {
        let bytes = try blob(descriptor).document("\(descriptor.digest)")
        let actual = Digest(hashing: bytes)
        if actual != descriptor.digest { throw .digestMismatch("\(descriptor.digest)", actual: "\(actual)") }
        return bytes
    }
}

/// An OCI layout that is a directory.
struct DirectoryPlace: BlobPlace {
    let name: String

    func content(of member: String) throws(OCIError) -> BlobContent? {
        let path = name + "/" + member
        if !Directories.exists(path) { return nil }
        return try BlobContent(wholeFile: path)
    }
}

/// An OCI layout or a Docker archive that is a plain tar file.
struct ArchivePlace: BlobPlace {
    let file: File
    let index: TarIndex
    var name: String { file.path }

    init(_ path: String) throws(OCIError) {
        file = try mapped { () throws(SystemError) in try File(open: path, O_RDONLY) }
        index = try TarIndex(scanning: file)
    }

    func content(of member: String) throws(OCIError) -> BlobContent? {
        index.member(member).map { BlobContent(file: file, offset: $0.offset, sizeBytes: $0.sizeBytes) }
    }
}
