// SPDX-License-Identifier: Apache-2.0

public import Base
public import HTTP

extension Repository {
    /// Makes a blob of the registry's other repository appear in this one, without sending it.
    ///
    /// False: that is not possible here, send the blob.
    /// - Parameter repository: its name in the same registry.
    public func mount(_ digest: Digest, from repository: String) throws(OCIError) -> Bool {
        let other = try Reference(registry: registry, repository: repository).repository
        var call = Call(
            "POST", "/\(name)/blobs/uploads/?mount=\(digest)&from=\(percentEncoded(other))",
            scopes: pushScope.union(ScopeSet(repository: other, ["pull"])), subject: "blob \(digest)",
            place: label)
        call.body = .bytes([])
        let endpoint = try writable()
        let answer: Answer
        do throws(OCIError) { answer = try client.send(call, to: endpoint, settings.attempts) } catch {
            // A token service may refuse to name both repositories in one token.
            if case .denied = error { return false }
            throw error
        }
        if answer.status == 201 { return true }
        // The registry has begun an ordinary upload in its stead.
        if answer.status == 202, let location = answer.location { cancel(location, endpoint) }
        return false
    }

    /// Sends a blob that lies in memory; does nothing when it is there already.
    public func upload(_ digest: Digest, bytes: [UInt8], group: TransferGroup = .upload) throws(OCIError) {
        try upload(
            digest, .bytes(bytes), isKnownAbsent: false, group: group, progress: { _ in },
            isCancelled: { false })
    }

    /// Sends a blob that is a part of a file; does nothing when it is there already.
    ///
    /// In one request as a rule. A blob above `RegistrySettings.monolithicLimitBytes`, one that is too long
    /// for the registry, or one whose sending was cut, goes in chunks and is taken up where it ended.
    /// - Parameters:
    ///   - progress: hears how many bytes of the blob have been sent, on any thread; it must not block.
    ///   - isKnownAbsent: the registry has just said that it has no such blob, and need not be asked again.
    ///   - isCancelled: asked between chunks and attempts; true ends the upload with `.stopped`.
    public func upload(
        _ digest: Digest, from file: File, offset: UInt64, count: UInt64, isKnownAbsent: Bool = false,
        group: TransferGroup = .upload,
        progress: @escaping @Sendable (UInt64) -> Void = { _ in },
        isCancelled: @escaping @Sendable () -> Bool = { false }
    ) throws(OCIError) {
        try upload(
            digest, .file(file, offset: offset, count: count), isKnownAbsent: isKnownAbsent, group: group,
            progress: progress, isCancelled: isCancelled)
    }

    private func upload(
        _ digest: Digest, _ body: UploadBody, isKnownAbsent: Bool, group: TransferGroup,
        progress: @escaping @Sendable (UInt64) -> Void, isCancelled: @escaping @Sendable () -> Bool
    ) throws(OCIError) {
        let endpoint = try writable()
        if !isKnownAbsent {
            let head = Call(
                "HEAD", blobPath(digest), scopes: pushScope, subject: "blob \(digest)", place: label)
            if try size(head, endpoint, settings.attempts) == body.count {
                progress(body.count)
                return
            }
        }
        let upload = BlobUpload(
            self, endpoint, digest, body, group: group, progress: progress, isCancelled: isCancelled)
        try upload.run()
    }

    /// Tells the registry to forget a begun upload; that it may not is of no consequence.
    func cancel(_ location: WebAddress, _ endpoint: Endpoint) {
        let call = Call("DELETE", at: location, scopes: pushScope, subject: "upload", place: label)
        _ = try? client.send(call, to: endpoint, 1)
    }
}
