// SPDX-License-Identifier: Apache-2.0

public import Base
import HTTP

/// A manifest or index as it came; its bytes have the digest.
public struct FetchedManifest: Sendable, Equatable {
    public let bytes: [UInt8]
    /// As the registry announced it, or as the document claims where the registry says nothing.
    public let mediaType: String
    public let digest: Digest

    /// Reads the document.
    public func document() throws(OCIError) -> ManifestDocument {
        try ManifestDocument(parsing: bytes, mediaType: mediaType, name: "\(digest)")
    }

    /// What another document says to name this one.
    public var descriptor: Descriptor {
        Descriptor(mediaType: mediaType, digest: digest, sizeBytes: UInt64(bytes.count))
    }
}

extension Repository {
    /// Fetches a manifest or index and checks it against its digest.
    public func manifest(_ selector: Reference.Selector) throws(OCIError) -> FetchedManifest {
        let call = try manifestCall("GET", selector)
        return try first(of: Self.capability(selector)) { (endpoint, attempts) throws(OCIError) in
            let answer = try client.send(call, to: endpoint, attempts)
            if answer.status != 200 { throw client.failure(of: answer, call) }
            return try check(answer, selector)
        }
    }

    /// What a tag or digest names at the moment, without fetching it; nil when there is nothing.
    public func resolve(_ selector: Reference.Selector) throws(OCIError) -> Descriptor? {
        let call = try manifestCall("HEAD", selector)
        let found = try first(of: Self.capability(selector)) {
            (endpoint, attempts) throws(OCIError) -> (present: Bool, descriptor: Descriptor?) in
            let answer = try client.send(call, to: endpoint, attempts)
            if answer.status == 404 { return (false, nil) }
            if answer.status != 200 { throw client.failure(of: answer, call) }
            return (true, Self.descriptor(answer, selector))
        }
        // The digest is not a header that a registry must send.
        if found.present, found.descriptor == nil { return try manifest(selector).descriptor }
        return found.descriptor
    }

    /// Stores a manifest or index whose blobs are there already.
    /// - Parameter tag: points to it from now on; nil stores it under its digest only.
    @discardableResult
    public func putManifest(
        _ bytes: [UInt8], mediaType: String, as tag: String?
    ) throws(OCIError) -> Digest {
        try put(bytes, mediaType, tag).digest
    }

    /// Removes a manifest with all tags that point to it; that it is gone already is no error.
    ///
    /// Where the registry keeps no referrers, the list that stands in for them is kept true.
    public func deleteManifest(_ digest: Digest) throws(OCIError) {
        try forgetReferrer(digest)
        try delete(.digest(digest))
    }

    /// Removes a tag and leaves the manifest; not every registry can do that.
    public func deleteTag(_ tag: String) throws(OCIError) {
        try delete(.tag(tag))
    }

    /// Stores a manifest; true when the registry has taken note of its subject.
    func put(
        _ bytes: [UInt8], _ mediaType: String, _ tag: String?
    ) throws(OCIError) -> (digest: Digest, knowsSubject: Bool) {
        let digest = Digest(hashing: bytes)
        var call = try manifestCall("PUT", tag.map { .tag($0) } ?? .digest(digest))
        call.headers = [("Content-Type", mediaType)]
        call.body = .bytes(bytes)
        call.scopes = pushScope
        let answer = try client.send(call, to: try writable(), settings.attempts)
        if !answer.response.isSuccess { throw client.failure(of: answer, call) }
        if let said = answer.contentDigest, said != digest {
            throw .digestMismatch(call.subject, actual: "\(said)")
        }
        return (digest, answer.response.header("oci-subject") != nil)
    }

    private func delete(_ selector: Reference.Selector) throws(OCIError) {
        var call = try manifestCall("DELETE", selector)
        call.headers = []
        call.scopes = deleteScope
        let answer = try client.send(call, to: try writable(), settings.attempts)
        if answer.response.isSuccess || answer.status == 404 { return }
        throw client.failure(of: answer, call)
    }

    private func manifestCall(
        _ method: String, _ selector: Reference.Selector
    ) throws(OCIError) -> Call {
        if case .tag(let tag) = selector { try Reference.validate(tag: tag, label + ":" + tag) }
        var call = Call(
            method, "/\(name)/manifests/\(selector)", scopes: pullScope, subject: "manifest \(selector)",
            place: label)
        call.headers = [("Accept", MediaType.acceptedManifests.joined(separator: ", "))]
        call.limitBytes = JSONDocument.limitBytes
        return call
    }

    private static func capability(_ selector: Reference.Selector) -> Endpoint.Capabilities {
        if case .digest = selector { return .pull }
        return .resolve
    }

    private static func descriptor(_ answer: Answer, _ selector: Reference.Selector) -> Descriptor? {
        guard let type = answer.mediaType, let size = answer.contentLength else { return nil }
        let said = answer.contentDigest
        guard case .digest(let asked) = selector else {
            return said.map { Descriptor(mediaType: type, digest: $0, sizeBytes: size) }
        }
        return Descriptor(mediaType: type, digest: asked, sizeBytes: size)
    }

    private func check(
        _ answer: Answer, _ selector: Reference.Selector
    ) throws(OCIError) -> FetchedManifest {
        let bytes = answer.response.body
        let digest = Digest(hashing: bytes)
        let expected: Digest? = if case .digest(let asked) = selector { asked } else { answer.contentDigest }
        if let expected, expected != digest {
            throw .digestMismatch("\(label): manifest \(selector)", actual: "\(digest)")
        }
        let name = "\(label): manifest \(selector)"
        var type = answer.mediaType ?? ""
        if type.isEmpty || !type.contains("json") || type == "application/json" {
            let wire = try JSONDocument.decode(WireManifest.self, bytes, name: name)
            type = wire.mediaType ?? (wire.manifests == nil ? MediaType.ociManifest : MediaType.ociIndex)
        }
        return FetchedManifest(bytes: bytes, mediaType: type, digest: digest)
    }
}
