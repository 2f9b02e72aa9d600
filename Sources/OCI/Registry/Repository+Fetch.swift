// SPDX-License-Identifier: Apache-2.0

public import Base
public import HTTP

extension Repository {
    /// Blobs about which something is remembered.
    private static let rememberedLimit = 4096

    /// The request for a blob, with all that it needs at the moment: authorization, or the address of the
    /// storage to which the registry sends its readers.
    ///
    /// The caller sets `options.range`. Blocks only where a token must be got, where the server has not been
    /// spoken to yet, or where it sends readers elsewhere and the place is not known yet.
    public func blobRequest(
        _ digest: Digest, group: TransferGroup = .demand
    ) throws(OCIError) -> (Request, TransferOptions) {
        if let place = redirects.withLock({ $0[digest] }), place.until > .now {
            return (request(place.address), options(place.tls, group, redirects: 2))
        }
        while true {
            let endpoint = try source(of: digest)
            do throws(OCIError) { return try request(digest, at: endpoint, group) } catch {
                client.health.note(error, from: endpoint)
                if !endpoint.isMirror || !passBy(endpoint, digest) { throw error }
            }
        }
    }

    private func request(
        _ digest: Digest, at endpoint: Endpoint, _ group: TransferGroup
    ) throws(OCIError) -> (Request, TransferOptions) {
        let authorizer = client.authorizer(endpoint)
        // A server that has not been spoken to is asked for one byte: that tells what it wants to see, too.
        if client.traits(of: endpoint).redirectsBlobs == true || !authorizer.isKnown,
            let place = try locate(digest, at: endpoint)
        {
            return (request(place.address), options(place.tls, group, redirects: 2))
        }
        let granted = try authorizer.authorization(for: pullScope, name)
        let address = endpoint.address(blobPath(digest))
        var request = request(address)
        request.headers = endpoint.headers
        if let granted { request.headers.append(("Authorization", granted.header)) }
        return (request, options(endpoint.tls, group, redirects: 5))
    }

    /// Says that a request made by `blobRequest` was answered with this status: the next is another one.
    ///
    /// 401 and 403 drop the token or the redirect that was used. Any other failure, and 0 for no answer at
    /// all, drops the redirect and lets another server try where there are mirrors.
    public func invalidate(_ digest: Digest, afterStatus status: Int) {
        let wasElsewhere = redirects.withLock { $0.removeValue(forKey: digest) } != nil
        // The storage refused an address that had grown old; the registry has done nothing wrong.
        if wasElsewhere { return }
        guard let endpoint = try? source(of: digest) else { return }
        if status == 401 || status == 403 { client.authorizer(endpoint).drop(scopes: pullScope) }
        if status != 401, endpoint.isMirror {
            _ = passBy(endpoint, digest)
        }
    }

    /// Leaves a server out for this blob; false when it is already.
    private func passBy(_ endpoint: Endpoint, _ digest: Digest) -> Bool {
        absences.withLock { known in
            if known.count >= Self.rememberedLimit { known.removeAll() }
            return known[digest, default: []].insert(endpoint.key).inserted
        }
    }

    /// Says that the blob, fetched through `blobRequest`, came from this address in the end.
    public func noteRedirect(_ digest: Digest, to url: String) {
        guard let endpoint = try? source(of: digest), let address = WebAddress(url) else { return }
        remember(digest, address, asked: endpoint)
    }

    /// Another place than the registry is known for the blob.
    func isRemembered(_ digest: Digest) -> Bool { redirects.withLock { $0[digest] != nil } }

    /// The server from which the blob is fetched now.
    func source(of digest: Digest) throws(OCIError) -> Endpoint {
        let endpoints = try client.endpoints(registry, for: .pull)
        let without = absences.withLock { $0[digest] ?? [] }
        guard let endpoint = endpoints.first(where: { !without.contains($0.key) }) ?? endpoints.last else {
            throw .unavailable(label, reason: "no server is configured for it")
        }
        return endpoint
    }

    /// Keeps where a request for a blob ended, if that is another place than where it was asked for.
    func remember(_ digest: Digest, _ address: WebAddress, asked endpoint: Endpoint) {
        let isElsewhere = !address.isSameOrigin(as: endpoint.root)
        client.learn(endpoint) { $0.redirectsBlobs = isElsewhere }
        guard isElsewhere else { return }
        var tls = endpoint.tls
        (tls.clientCertificate, tls.clientKey) = (nil, nil)
        let place = BlobPlaceElsewhere(
            address: address, tls: tls, until: .now.advanced(bySeconds: SignedAddress.validSeconds(address)))
        redirects.withLock { known in
            // Bounded: what was remembered for a whole image is dropped rather than kept for ever.
            if known.count >= Self.rememberedLimit { known.removeAll() }
            known[digest] = place
        }
    }

    /// Asks the registry for the first byte only, to learn where the blob lies.
    private func locate(_ digest: Digest, at endpoint: Endpoint) throws(OCIError) -> BlobPlaceElsewhere? {
        var call = Call("GET", blobPath(digest), scopes: pullScope, subject: "blob \(digest)", place: label)
        call.range = 0..<1
        call.redirects = 0
        let answer = try client.send(call, to: endpoint, endpoint.isMirror ? 2 : settings.attempts)
        guard let address = answer.redirectTarget else {
            if answer.response.isSuccess { client.learn(endpoint) { $0.redirectsBlobs = false } }
            // What else it says it will say again to the request itself.
            return nil
        }
        guard answer.mayFollow(address) else { return nil }
        remember(digest, address, asked: endpoint)
        return redirects.withLock { $0[digest] }
    }

    private func request(_ address: WebAddress) -> Request {
        Request("GET", "\(address)", connectTimeoutMs: settings.connectTimeoutMs)
    }

    private func options(_ tls: TLSOptions, _ group: TransferGroup, redirects: Int) -> TransferOptions {
        TransferOptions(
            group: group, tls: tls, redirects: redirects, stallTimeoutMs: settings.stallTimeoutMs)
    }
}

/// How long the addresses of storage services may be used, which they say in their query.
enum SignedAddress {
    /// Seconds where the address says nothing.
    static let usualSeconds: Double = 300

    /// Seconds from now, somewhat less than what is promised; the address is new.
    static func validSeconds(_ address: WebAddress) -> Double {
        for pair in (address.query ?? "").split(separator: "&") {
            guard let equals = pair.firstIndex(of: "=") else { continue }
            let name = pair[..<equals].lowercased()
            // S3 and Google Cloud say how long; others name a moment, which needs two clocks that agree.
            if name == "x-amz-expires" || name == "x-goog-expires",
                let seconds = Double(pair[equals...].dropFirst()),
                seconds > 0
            {
                return min(seconds, 86_400) * 0.9
            }
        }
        return usualSeconds
    }
}
