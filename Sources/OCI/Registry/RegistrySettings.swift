// SPDX-License-Identifier: Apache-2.0

/// How registries are reached, and how much is borne from them.
public struct RegistrySettings: Sendable {
    /// Registries, as `host` or `host:port`, spoken to without TLS; those of this machine need no mention.
    public var plainHTTPHosts: Set<String> = []
    /// In it `HOST/hosts.toml` as containerd reads it (mirrors, certificates, headers); nil for none.
    public var certsDirectory: String?
    /// In it `HOST/*.crt`, `*.cert` and `*.key` as Docker reads them; asked where `certsDirectory` is silent.
    public var dockerCertsDirectory: String? = "/etc/docker/certs.d"
    /// Files with certificates (PEM) of authorities that are trusted for every registry.
    public var certificateAuthorities: [String] = []
    /// Files with credentials in Docker's form, the first one first; nil for Podman's and Docker's places.
    public var credentialFiles: [String]?
    /// Seconds that a credential helper may take.
    public var helperTimeoutSeconds: Double = 30
    /// Times that one request is sent at most.
    public var attempts = 5
    /// Seconds before the second attempt; doubled each time, and each a random part of it.
    public var firstDelaySeconds = 0.25
    /// Seconds that are waited at most, also when a registry asks for more.
    public var longestDelaySeconds: Double = 30
    /// Milliseconds until a connection must stand.
    public var connectTimeoutMs = 10_000
    /// Milliseconds without a byte until a connection is given up.
    public var stallTimeoutMs = 30_000
    /// Bytes of a blob that is sent in one request; a larger one goes in chunks.
    public var monolithicLimitBytes: UInt64 = 256 << 20
    /// Bytes in a chunk of an upload.
    public var chunkBytes: UInt64 = 64 << 20

    public init() {}
}
