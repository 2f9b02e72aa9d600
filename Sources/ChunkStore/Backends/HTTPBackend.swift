// SPDX-License-Identifier: Apache-2.0

public import Base
public import HTTP

/// Objects on a plain HTTP server: `BASE/packs/DIGEST`, `BASE/maps/DIGEST`, `BASE/names/NAME.json`, as a
/// directory backend lays them out.
///
/// Only reads; the server must answer requests for ranges. Every call blocks: plain threads only, and never the loop's own.
public final class HTTPBackend: Backend {
    private let base: String
    private let headers: [(name: String, value: String)]
    private let tls: TLSOptions
    private let loop: TransferLoop

    /// - Parameters:
    ///   - url: `http://` or `https://` address of the directory, with no query.
    ///   - headers: sent with each request, for authorization.
    /// - Throws: `badObject` when it is no such address.
    public init(
        url: String, loop: TransferLoop, headers: [(name: String, value: String)] = [],
        tls: TLSOptions = .init()
    ) throws(ChunkStoreError) {
        guard url.hasPrefix("http://") || url.hasPrefix("https://"), !url.contains("?"), !url.contains("#")
        else {
            throw .badObject(
                name: redactedURL(url), reason: "not an address that begins with http:// or https://")
        }
        base = url.hasSuffix("/") ? url : url + "/"
        self.loop = loop
        self.headers = headers
        self.tls = tls
    }

    fileprivate func request(_ method: String, _ path: String, limitBytes: Int = 1 << 20) -> Request {
        Request(method, base + path, headers: headers, responseLimitBytes: limitBytes)
    }

    fileprivate func options(_ range: Range<UInt64>? = nil) -> TransferOptions {
        TransferOptions(group: .control, range: range, tls: tls)
    }

    private func perform(
        _ request: Request, _ range: Range<UInt64>? = nil
    ) throws(ChunkStoreError) -> Response {
        do throws(HTTPError) {
            return try loop.perform(request, options(range))
        } catch {
            throw .badObject(name: redactedURL(request.url), reason: "\(error)")
        }
    }

    private func failure(_ response: Response, _ path: String) -> ChunkStoreError {
        .badObject(
            name: redactedURL(base) + path, reason: "the server answered with status \(response.status)")
    }

    /// The same server as a source of ranges.
    public func packSource() -> HTTPPackSource {
        HTTPPackSource(loop: loop, provider: PlainRequestProvider(self))
    }

    public func size(of name: ObjectName) throws(ChunkStoreError) -> UInt64? {
        let response = try perform(request("HEAD", "\(name)"))
        if response.status == 404 || response.status == 410 { return nil }
        guard response.status == 200, let size = response.header("content-length").flatMap({ UInt64($0) })
        else {
            throw failure(response, "\(name)")
        }
        return size
    }

    public func read(_ name: ObjectName, at offset: UInt64, count: Int) throws(ChunkStoreError) -> [UInt8] {
        if count == 0 { return [] }
        let range = offset..<offset + UInt64(count)
        let response = try perform(request("GET", "\(name)", limitBytes: count), range)
        return try RangeResponse.bytes(response, range, name) { failure($0, "\(name)") }
    }

    private func readOnly(_ name: String) -> ChunkStoreError {
        .badObject(
            name: name, reason: "\(redactedURL(base)) can only be read; write to the directory that it serves"
        )
    }

    public func put(_ name: ObjectName, contentsOf file: File) throws(ChunkStoreError) {
        if try exists(name) { return }
        throw readOnly("\(name)")
    }

    public func list(_ kind: ObjectName.Kind) throws(ChunkStoreError) -> [ObjectName] {
        throw .badObject(name: kind.rawValue, reason: "\(redactedURL(base)) has no lists of its objects")
    }

    public func delete(_ name: ObjectName) throws(ChunkStoreError) {
        throw readOnly("\(name)")
    }
}

extension HTTPBackend: NamedObjects {
    public func readName(_ name: String) throws(ChunkStoreError) -> NamedObject? {
        // The name of the file holds escapes, which the address has to escape again.
        let path = try NamedObjectKey.path(name).split(separator: "/").map { percentEncoded(String($0)) }
            .joined(separator: "/")
        let response = try perform(request("GET", path, limitBytes: NamedObjectKey.maximumObjectBytes))
        if response.status == 404 || response.status == 410 { return nil }
        if response.status != 200 { throw failure(response, path) }
        return NamedObject(bytes: response.body, etag: Digest(hashing: response.body).hex)
    }

    public func writeName(
        _ name: String, bytes: [UInt8], if condition: WriteCondition
    ) throws(ChunkStoreError) -> Bool {
        throw readOnly(name)
    }

    public func listNames() throws(ChunkStoreError) -> [String] {
        throw .badObject(
            name: NamedObjectKey.directory, reason: "\(redactedURL(base)) has no lists of its objects")
    }

    public func deleteName(_ name: String) throws(ChunkStoreError) {
        throw readOnly(name)
    }
}

/// Asks for packs without more ado.
private final class PlainRequestProvider: HTTPRequestProvider {
    private let backend: HTTPBackend

    init(_ backend: HTTPBackend) { self.backend = backend }

    var name: String { backend.name }

    func request(for object: ObjectName) throws(SourceFailure) -> (Request, TransferOptions) {
        (backend.request("GET", object.description), backend.options())
    }

    func rejected(_ object: ObjectName, status: Int) {}
}

extension HTTPBackend {
    /// For log and status.
    var name: String { redactedURL(base) }
}
