// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import HTTP

/// Makes signed requests to one bucket, and makes them again when the store has a bad moment.
final class S3Client: Sendable {
    /// One request, about one key or about the bucket.
    struct Call {
        var method: String
        /// nil for the bucket.
        var key: String?
        var query: [(name: String, value: String)] = []
        var headers: [(name: String, value: String)] = []
        var body: UploadBody?
        var payloadHash = S3Signer.emptyPayload
        var range: Range<UInt64>?
        var limitBytes = 16 << 20
    }

    private static let attempts = 5

    let location: S3Location
    private let loop: TransferLoop
    private let finder: S3CredentialFinder
    private let region: String
    private let scheme: String
    private let host: String
    private let basePath: String

    init(_ location: S3Location, loop: TransferLoop, environment: [String: String]) {
        self.location = location
        self.loop = loop
        finder = S3CredentialFinder(fixed: location.credentials, environment: environment)
        region = location.region ?? finder.region() ?? "us-east-1"
        (scheme, host, basePath) = location.base(region: region)
    }

    /// The address of a key for messages and logs.
    func name(_ key: String?) -> String {
        "s3://\(location.bucket)" + (key.map { "/" + fullKey($0) } ?? "")
    }

    /// A key with the prefix of the location.
    func fullKey(_ key: String) -> String {
        location.prefix.isEmpty ? key : location.prefix + "/" + key
    }

    /// The request as it must be sent now: a signature holds for minutes.
    func request(_ call: Call) -> Request {
        let key = call.key.map { fullKey($0) }
        let escaped = key?.split(separator: "/", omittingEmptySubsequences: false)
            .map { percentEncoded(String($0)) }.joined(separator: "/")
        let path = basePath + (escaped.map { "/" + $0 } ?? (basePath.isEmpty ? "/" : ""))
        var headers = call.headers
        if let credentials = finder.current() {
            let subject = S3Signer.Subject(
                method: call.method, host: host, path: path, query: call.query, headers: call.headers,
                payloadHash: call.payloadHash)
            headers = S3Signer(credentials: credentials, region: region).headers(
                for: subject, time: time(nil))
        }
        let query = S3Signer.canonicalQuery(call.query)
        return Request(
            call.method, "\(scheme)://\(host)\(path)" + (query.isEmpty ? "" : "?" + query), headers: headers,
            responseLimitBytes: call.limitBytes)
    }

    func options(_ call: Call) -> TransferOptions {
        TransferOptions(
            group: call.body == nil ? .control : .upload, range: call.range, tls: location.tls, redirects: 0,
            // The store answers a part only when it has put it away, which may take its time.
            stallTimeoutMs: call.body == nil ? 30_000 : 120_000, upload: call.body)
    }

    /// Credentials that were refused are looked up again.
    func forgetCredentials() { finder.forget() }

    /// The response, whatever its status; overload and broken connections are tried again for some seconds.
    func perform(_ call: Call) throws(ChunkStoreError) -> Response {
        var attempt = 1
        while true {
            var delayMs = 200 << attempt
            do throws(HTTPError) {
                let response = try loop.perform(request(call), options(call))
                switch response.status {
                case 401, 403:
                    if attempt > 1 { return response }
                    forgetCredentials()
                    delayMs = 0
                case 408, 429, 500, 502...504:
                    if attempt == Self.attempts { return response }
                    delayMs = max(delayMs, SourceFailure.retryAfterMs(response.header("retry-after")) ?? 0)
                default: return response
                }
            } catch {
                if attempt == Self.attempts || !Self.isTransient(error) {
                    throw .badObject(name: name(call.key), reason: "\(error)")
                }
            }
            attempt += 1
            // Not all at the same moment when there are many.
            let jitter = Int.random(in: 0...max(1, delayMs / 2))
            usleep(UInt32(min(delayMs / 2 + jitter, 10_000)) * 1000)
        }
    }

    private static func isTransient(_ error: HTTPError) -> Bool {
        switch error {
        case .cannotConnect, .timedOut, .stalled, .cutShort, .reset, .proxy: true
        case .libraryMissing, .tls, .tooManyRedirects, .bodyTooLong, .stopped, .uploadUnreadable, .failed:
            false
        }
    }

    /// The error for a response that is not what it should be.
    func failure(_ response: Response, _ key: String?) -> ChunkStoreError {
        var reason = "the store answered with status \(response.status)"
        if let code = XMLText.element("Code", in: response.body.prefix(8192)) {
            reason += " (\(code.prefix(64)))"
        }
        if let text = XMLText.element("Message", in: response.body.prefix(8192)) {
            reason += ": \(text.prefix(200))"
        }
        if let right = response.header("x-amz-bucket-region"), right != region {
            reason += "; the bucket is in the region \(right.prefix(32)), set that"
        } else if response.status == 403 || response.status == 401, finder.current() == nil {
            reason +=
                "; no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
                + "or write ~/.aws/credentials"
        }
        return .badObject(name: name(key), reason: reason)
    }
}
