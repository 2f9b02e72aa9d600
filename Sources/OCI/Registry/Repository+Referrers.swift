// SPDX-License-Identifier: Apache-2.0

public import Base
import HTTP

extension Repository {
    /// The manifests attached to another one.
    ///
    /// Asks the registry's referrers API, and where it has none reads the index that stands in for it
    /// under the tag `sha256-HEX`.
    /// - Parameter artifactType: only those of this kind; "" for all.
    public func referrers(of digest: Digest, artifactType: String) throws(OCIError) -> [Descriptor] {
        try first(of: .resolve) { (endpoint, attempts) throws(OCIError) in
            let listed = try listReferrers(digest, artifactType, endpoint, attempts)
            let all = if let listed { listed } else { try fallback(digest, endpoint, attempts).descriptors }
            return all.filter { artifactType.isEmpty || $0.artifactType == artifactType }
        }
    }

    /// Stores a manifest that names a subject, so that `referrers` finds it there.
    ///
    /// Where the registry takes no note of the subject, the index that stands in for its API is kept.
    /// - Parameters:
    ///   - subject: as the manifest names it; it need not exist yet.
    ///   - tag: points to the manifest as well; nil stores it under its digest only.
    @discardableResult
    public func attach(
        _ manifest: [UInt8], mediaType: String = MediaType.ociManifest, subject: Digest, as tag: String? = nil
    ) throws(OCIError) -> Digest {
        let document = try ManifestDocument(
            parsing: manifest, mediaType: mediaType, name: "\(label): manifest")
        guard case .manifest(let parsed) = document, parsed.subject?.digest == subject else {
            throw .badDocument("\(label): manifest", reason: "its subject is not \(subject)")
        }
        let (digest, isNoted) = try put(manifest, mediaType, tag)
        if !isNoted {
            let descriptor = Descriptor(
                mediaType: mediaType, digest: digest, sizeBytes: UInt64(manifest.count),
                annotations: parsed.annotations, artifactType: parsed.kind)
            try changeFallback(subject) { list in
                if list.contains(where: { $0.digest == digest }) { return false }
                list.append(descriptor)
                return true
            }
        }
        return digest
    }

    /// Takes a manifest that will be deleted out of the index that stands in for the referrers API.
    func forgetReferrer(_ digest: Digest) throws(OCIError) {
        let endpoint = try writable()
        let fetched: FetchedManifest
        do throws(OCIError) { fetched = try manifest(.digest(digest)) } catch {
            if case .notFound = error { return }
            throw error
        }
        guard case .manifest(let parsed)? = try? fetched.document(), let subject = parsed.subject,
            try listReferrers(subject.digest, "", endpoint, settings.attempts) == nil
        else { return }
        try changeFallback(subject.digest) { list in
            let before = list.count
            list.removeAll { $0.digest == digest }
            return list.count < before
        }
    }

    /// nil where the server has no referrers API.
    private func listReferrers(
        _ digest: Digest, _ artifactType: String, _ endpoint: Endpoint, _ attempts: Int
    ) throws(OCIError) -> [Descriptor]? {
        if let end = client.traits(of: endpoint).noReferrersUntil, end > .now { return nil }
        let query = artifactType.isEmpty ? "" : "?artifactType=" + percentEncoded(artifactType)
        var next: WebAddress? = endpoint.address("/\(name)/referrers/\(digest)\(query)")
        var found: [Descriptor] = []
        var pages = 0
        while let address = next {
            var call = Call(
                "GET", at: address, scopes: pullScope, subject: "referrers of \(digest)", place: label)
            call.headers = [("Accept", MediaType.ociIndex)]
            let answer = try client.send(call, to: endpoint, attempts)
            if pages == 0, [400, 404, 405, 501].contains(answer.status) || answer.isOtherContent {
                client.learn(endpoint) { $0.noReferrersUntil = .now.advanced(bySeconds: 600) }
                return nil
            }
            if answer.status != 200 { throw client.failure(of: answer, call) }
            found += try index(answer.response.body, "\(label): referrers of \(digest)")
            pages += 1
            next = try nextPage(answer, pages)
        }
        return found
    }

    private struct Fallback {
        var descriptors: [Descriptor]
        let digest: Digest?
    }

    /// The index under the tag that stands in for the referrers API; an empty one when there is none.
    private func fallback(
        _ subject: Digest, _ endpoint: Endpoint, _ attempts: Int
    ) throws(OCIError) -> Fallback {
        let tag = Self.fallbackTag(subject)
        var call = Call(
            "GET", "/\(name)/manifests/\(tag)", scopes: pullScope, subject: "manifest \(tag)", place: label)
        call.headers = [("Accept", MediaType.ociIndex)]
        let answer = try client.send(call, to: endpoint, attempts)
        if answer.status == 404 { return Fallback(descriptors: [], digest: nil) }
        if answer.status != 200 { throw client.failure(of: answer, call) }
        let bytes = answer.response.body
        return Fallback(
            descriptors: try index(bytes, "\(label): manifest \(tag)"), digest: Digest(hashing: bytes))
    }

    /// The tag under which tools without a referrers API look for what is attached to a manifest.
    static func fallbackTag(_ subject: Digest) -> String { "sha256-" + subject.hex }

    private func index(_ bytes: [UInt8], _ name: String) throws(OCIError) -> [Descriptor] {
        guard case .index(let found) = try ManifestDocument(parsing: bytes, mediaType: nil, name: name) else {
            throw .badDocument(name, reason: "it is not an index")
        }
        return found
    }

    /// Changes the index under the fallback tag, and looks whether somebody else wrote at the same time.
    private func changeFallback(
        _ subject: Digest, _ change: (inout [Descriptor]) -> Bool
    ) throws(OCIError) {
        let endpoint = try writable()
        for _ in 0..<settings.attempts {
            var current = try fallback(subject, endpoint, settings.attempts)
            if !change(&current.descriptors) { return }
            let bytes = try ManifestWriter.index(current.descriptors)
            let written = try put(bytes, MediaType.ociIndex, Self.fallbackTag(subject)).digest
            if try fallback(subject, endpoint, settings.attempts).digest == written { return }
        }
        throw .unavailable(
            "\(label): manifest \(Self.fallbackTag(subject))",
            reason: "others write the list of referrers at the same time; try again")
    }
}
