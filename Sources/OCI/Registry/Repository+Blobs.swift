// SPDX-License-Identifier: Apache-2.0

public import Base
public import HTTP

extension Repository {
    /// Bytes of the largest blob that `blob` takes into memory.
    public static let wholeBlobLimitBytes: UInt64 = 1 << 30

    /// How long a blob is; nil when the repository does not have it.
    public func blobSize(_ digest: Digest) throws(OCIError) -> UInt64? {
        let call = Call("HEAD", blobPath(digest), scopes: pullScope, subject: "blob \(digest)", place: label)
        return try first(of: .pull) { (endpoint, attempts) throws(OCIError) -> UInt64? in
            try size(call, endpoint, attempts)
        }
    }

    func size(_ call: Call, _ endpoint: Endpoint, _ attempts: Int) throws(OCIError) -> UInt64? {
        let answer = try client.send(call, to: endpoint, attempts)
        if answer.status == 404 { return nil }
        if answer.status != 200 { throw client.failure(of: answer, call) }
        guard let size = answer.contentLength else {
            throw .badAnswer("\(label): \(call.subject)", reason: "it does not say how long the blob is")
        }
        return size
    }

    /// Fetches a whole blob into memory and checks it against size and digest.
    public func blob(_ digest: Digest, sizeBytes: UInt64) throws(OCIError) -> [UInt8] {
        if sizeBytes > Self.wholeBlobLimitBytes {
            let reason =
                "it has \(sizeBytes) bytes; at most \(Self.wholeBlobLimitBytes) are taken into memory"
            throw .limit("\(digest)", reason: reason)
        }
        let descriptor = Descriptor(mediaType: "", digest: digest, sizeBytes: sizeBytes)
        do throws(OCIError) { return try whole(descriptor) } catch {
            // A mirror that lied is known as such now; the next attempt goes past it.
            guard case .digestMismatch = error, try client.endpoints(registry, for: .pull).count >= 1,
                isMirrored
            else { throw error }
            return try whole(descriptor)
        }
    }

    private var isMirrored: Bool {
        (try? client.allEndpoints(registry).contains { $0.isMirror }) ?? false
    }

    private func whole(_ descriptor: Descriptor) throws(OCIError) -> [UInt8] {
        let stream = try openBlob(descriptor)
        var bytes: [UInt8] = []
        // The announced size is believed only as far as bytes really come.
        var piece = [UInt8](repeating: 0, count: Int(min(max(descriptor.sizeBytes, 1), 1 << 20)))
        while true {
            var failure: OCIError?
            let count = piece.withUnsafeMutableBytes { buffer in
                do throws(OCIError) { return try stream.read(into: buffer) } catch {
                    failure = error
                    return 0
                }
            }
            if let failure { throw failure }
            if count == 0 { return bytes }
            bytes += piece[..<count]
        }
    }

    /// Opens a blob for reading from its beginning.
    ///
    /// A connection that is cut is taken up where it ended. About a mebibyte waits in memory at most. Size
    /// and digest are checked when the end is reached: until `read` has returned 0, nothing is certain.
    /// - Parameter group: the class in which the bytes travel.
    public func openBlob(
        _ descriptor: Descriptor, group: TransferGroup = .boot
    ) throws(OCIError) -> any BlobStream {
        if let data = descriptor.data { return MemoryStream(data) }
        return BlobDownload(self, descriptor, group)
    }

    func blobPath(_ digest: Digest) -> String { "/\(name)/blobs/\(digest)" }

    /// Removes a blob; that it is gone already is no error.
    ///
    /// Not every registry allows it.
    public func deleteBlob(_ digest: Digest) throws(OCIError) {
        let call = Call(
            "DELETE", blobPath(digest), scopes: deleteScope, subject: "blob \(digest)", place: label)
        let answer = try client.send(call, to: try writable(), settings.attempts)
        if !answer.response.isSuccess, answer.status != 404 { throw client.failure(of: answer, call) }
    }
}

/// A blob that came inside the document that names it.
private final class MemoryStream: BlobStream {
    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) {
        rest = bytes[...]
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(OCIError) -> Int {
        let part = rest.prefix(buffer.count)
        buffer.copyBytes(from: part)
        rest = rest.dropFirst(part.count)
        return part.count
    }
}
