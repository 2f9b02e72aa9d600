// SPDX-License-Identifier: Apache-2.0

public import HTTP

/// Where in which S3-compatible store the objects lie.
public struct S3Location: Sendable {
    public var bucket: String
    /// Put before each key; without slashes around it, empty for none.
    public var prefix: String
    /// `http://` or `https://` address of the store; nil for AWS itself.
    public var endpoint: String?
    /// nil to take it from the environment or the configuration file of the AWS tools, else `us-east-1`.
    public var region: String?
    /// Names the bucket in the path and not in the host; nil decides by what works: in the path with an
    /// endpoint of one's own or a bucket with dots in its name.
    public var pathStyle: Bool?
    /// nil looks for them where the AWS tools do.
    public var credentials: S3Credentials?
    public var tls: TLSOptions

    public init(
        bucket: String, prefix: String = "", endpoint: String? = nil, region: String? = nil,
        pathStyle: Bool? = nil, credentials: S3Credentials? = nil, tls: TLSOptions = .init()
    ) {
        self.bucket = bucket
        self.prefix = prefix
        self.endpoint = endpoint
        self.region = region
        self.pathStyle = pathStyle
        self.credentials = credentials
        self.tls = tls
    }

    /// `s3://BUCKET/PREFIX?endpoint=URL&region=NAME&path-style=true`; all but the bucket may be left out.
    /// - Throws: `badObject` with what is wrong with it.
    public init(uri: String) throws(ChunkStoreError) {
        func wrong(_ reason: String) -> ChunkStoreError { .badObject(name: redactedURL(uri), reason: reason) }
        guard uri.hasPrefix("s3://") else { throw wrong("an S3 place begins with s3://") }
        let parts = uri.dropFirst(5).split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let path = parts[0].split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        self.init(bucket: String(path[0]))
        if !Self.isBucketName(bucket) { throw wrong("'\(bucket)' cannot be the name of a bucket") }
        if path.count > 1 {
            prefix = path[1].split(separator: "/").joined(separator: "/")
            if prefix.split(separator: "/").contains(where: { $0 == "." || $0 == ".." }) {
                throw wrong("the prefix may not hold '.' or '..'")
            }
        }
        for item in parts.count > 1 ? parts[1].split(separator: "&") : [] {
            let pair = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, let value = percentDecoded(pair[1]), !value.isEmpty else {
                throw wrong("'\(item)' is not NAME=VALUE")
            }
            switch (pair[0], value) {
            case ("endpoint", _) where value.hasPrefix("http://") || value.hasPrefix("https://"):
                endpoint = value
            case ("region", _): region = value
            case ("path-style", "true"): pathStyle = true
            case ("path-style", "false"): pathStyle = false
            default:
                throw wrong("'\(item)' is none of endpoint=http(s)://..., region=, path-style=true|false")
            }
        }
    }

    private static func isBucketName(_ name: String) -> Bool {
        (3...63).contains(name.utf8.count) && !name.hasPrefix(".")
            && name.utf8.allSatisfy {
                switch $0 {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."),
                    UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// Scheme and host, with the port unless it is the scheme's own, and what stands before each key.
    func base(region: String) -> (scheme: String, host: String, path: String) {
        let address = endpoint ?? "https://s3.\(region).amazonaws.com"
        let isSecure = address.hasPrefix("https://")
        let rest = address.dropFirst(isSecure ? 8 : 7)
        var host = String(rest.prefix { $0 != "/" })
        let standardPort = isSecure ? ":443" : ":80"
        if host.hasSuffix(standardPort) { host.removeLast(standardPort.count) }
        var path = rest.dropFirst(rest.prefix { $0 != "/" }.count).split(separator: "/").map { "/" + $0 }
            .joined()
        if pathStyle ?? (endpoint != nil || bucket.contains(".")) {
            path += "/" + bucket
        } else {
            host = bucket + "." + host
        }
        return (isSecure ? "https" : "http", host, path)
    }
}
