// SPDX-License-Identifier: Apache-2.0

public import Base
import Glibc
public import HTTP

/// Objects in a bucket of an S3-compatible store: `PREFIX/packs/DIGEST`, `PREFIX/maps/DIGEST` and
/// `PREFIX/names/NAME.json`.
///
/// Every call blocks: plain threads only, and never the loop's own.
public final class S3Backend: Backend {
    /// Larger objects are sent in parts, several at a time.
    public static let defaultPartBytes: UInt64 = 16 << 20

    let client: S3Client
    private let loop: TransferLoop
    private let partBytes: UInt64

    /// - Parameters:
    ///   - partBytes: at least 5 MiB for AWS; objects of up to four parts go in one piece.
    ///   - environment: variables in place of those of the process.
    public init(
        _ location: S3Location, loop: TransferLoop, partBytes: UInt64 = defaultPartBytes,
        environment: [String: String]? = nil
    ) {
        precondition(partBytes > 0)
        let names = [
            "HOME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE",
            "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_REGION", "AWS_DEFAULT_REGION",
        ]
        client = S3Client(location, loop: loop, environment: environment ?? processEnvironment(names))
        self.loop = loop
        self.partBytes = partBytes
    }

    /// The same bucket as a source of ranges.
    public func packSource() -> HTTPPackSource {
        HTTPPackSource(loop: loop, provider: S3RequestProvider(client))
    }

    public func size(of name: ObjectName) throws(ChunkStoreError) -> UInt64? {
        let response = try client.perform(.init(method: "HEAD", key: name.description))
        if response.status == 404 { return nil }
        guard response.status == 200, let size = response.header("content-length").flatMap({ UInt64($0) })
        else {
            throw client.failure(response, name.description)
        }
        return size
    }

    public func read(_ name: ObjectName, at offset: UInt64, count: Int) throws(ChunkStoreError) -> [UInt8] {
        if count == 0 { return [] }
        let range = offset..<offset + UInt64(count)
        let response = try client.perform(
            .init(method: "GET", key: name.description, range: range, limitBytes: count))
        return try RangeResponse.bytes(response, range, name) { client.failure($0, name.description) }
    }

    public func put(_ name: ObjectName, contentsOf file: File) throws(ChunkStoreError) {
        let key = name.description
        let (size, digest): (UInt64, Digest)
        do throws(SystemError) {
            size = try file.size()
            digest = try FileDigest.of(file, 0..<size)
        } catch {
            throw ChunkStoreError(error)
        }
        if digest != name.digest {
            throw .badObject(name: key, reason: "\(file.path) has the digest \(digest)")
        }
        if try exists(name) { return }
        if size > partBytes * 4 {
            try S3Upload(client: client, key: key, file: file, sizeBytes: size, partBytes: partBytes).run()
        } else {
            try putWhole(key, file, size, name.digest)
        }
    }

    private func putWhole(
        _ key: String, _ file: File, _ size: UInt64, _ digest: Digest
    ) throws(ChunkStoreError) {
        var call = S3Client.Call(
            method: "PUT", key: key, headers: [("If-None-Match", "*")],
            body: .file(file, offset: 0, count: size), payloadHash: digest.hex)
        var response = try client.perform(call)
        if response.status == 501 {
            // The store knows no conditions; writing the same bytes twice does no harm.
            call.headers = []
            response = try client.perform(call)
        }
        // 412: somebody else was faster, 409: is about to be; what they write has the same digest.
        if response.isSuccess || response.status == 412 { return }
        if response.status == 409, try client.perform(.init(method: "HEAD", key: key)).status == 200 {
            return
        }
        throw client.failure(response, key)
    }

    public func list(_ kind: ObjectName.Kind) throws(ChunkStoreError) -> [ObjectName] {
        try client.list(kind.rawValue + "/").compactMap { Digest(hex: $0) }.map { ObjectName(kind, $0) }
            .sorted()
    }

    public func delete(_ name: ObjectName) throws(ChunkStoreError) {
        try client.delete(name.description)
    }
}

extension S3Client {
    /// What follows the given beginning in all keys that have it.
    func list(_ beginning: String) throws(ChunkStoreError) -> [String] {
        let prefix = fullKey(beginning)
        var found: [String] = []
        var token: String?
        repeat {
            var query = [("list-type", "2"), ("prefix", prefix), ("encoding-type", "url")]
            if let token { query.append(("continuation-token", token)) }
            let response = try perform(.init(method: "GET", query: query.map { (name: $0.0, value: $0.1) }))
            if response.status != 200 { throw failure(response, nil) }
            for key in XMLText.elements("Key", in: response.body) {
                if let key = percentDecoded(key), key.hasPrefix(prefix) {
                    found.append(String(key.dropFirst(prefix.count)))
                }
            }
            let next = XMLText.element("NextContinuationToken", in: response.body)
            let isTruncated = XMLText.element("IsTruncated", in: response.body) == "true"
            if isTruncated, next == nil || next == token {
                throw .badObject(
                    name: name(nil), reason: "the store cuts its list short without saying where")
            }
            token = isTruncated ? next : nil
        } while token != nil
        return found
    }

    func delete(_ key: String) throws(ChunkStoreError) {
        let response = try perform(.init(method: "DELETE", key: key))
        if !response.isSuccess, response.status != 404 { throw failure(response, key) }
    }
}

/// Signs requests for packs.
private final class S3RequestProvider: HTTPRequestProvider {
    private let client: S3Client

    init(_ client: S3Client) { self.client = client }

    var name: String { client.name(client.location.prefix.isEmpty ? nil : "") }

    func request(for object: ObjectName) throws(SourceFailure) -> (Request, TransferOptions) {
        let call = S3Client.Call(method: "GET", key: object.description)
        return (client.request(call), client.options(call))
    }

    func rejected(_ object: ObjectName, status: Int) {
        if status == 401 || status == 403 { client.forgetCredentials() }
    }
}

/// Checks what came for a range that was read as a whole.
enum RangeResponse {
    static func bytes(
        _ response: Response, _ range: Range<UInt64>, _ name: ObjectName,
        failure: (Response) -> ChunkStoreError
    ) throws(ChunkStoreError) -> [UInt8] {
        let head = ResponseHead(status: response.status, headers: response.headers, effectiveURL: "")
        let bytes = response.body
        switch response.status {
        case 206:
            guard let sent = head.contentRange, sent.range == range, bytes.count == range.count else {
                throw .badObject(
                    name: "\(name)", reason: "the server sent something else than bytes \(range)")
            }
            return bytes
        case 200 where range.lowerBound == 0 && bytes.count == range.count: return bytes
        case 416:
            throw .badObject(name: "\(name)", reason: "it ends before byte \(range.upperBound)")
        default: throw failure(response)
        }
    }
}

/// Digests of parts of files.
enum FileDigest {
    static func of(_ file: File, _ range: Range<UInt64>) throws(SystemError) -> Digest {
        var hasher = DigestHasher()
        var offset = range.lowerBound
        while offset < range.upperBound {
            let bytes = try file.read(count: Int(min(1 << 20, range.upperBound - offset)), at: offset)
            if bytes.isEmpty { throw SystemError(EIO, "read", file.path) }
            hasher.update(bytes)
            offset += UInt64(bytes.count)
        }
        return hasher.digest()
    }
}
