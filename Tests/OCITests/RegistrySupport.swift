// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import HTTP
import OCI
import TestSupport
import Testing

/// One loop for all tests of this target, as a program has.
enum TestLoop {
    static let shared: Result<TransferLoop, HTTPError> = Result { () throws(HTTPError) in try TransferLoop() }
}

extension RegistrySettings {
    /// Short pauses, no credentials and no configuration of this machine.
    static var forTests: RegistrySettings {
        var settings = RegistrySettings()
        settings.credentialFiles = []
        settings.dockerCertsDirectory = nil
        settings.firstDelaySeconds = 0.01
        settings.longestDelaySeconds = 1.5
        settings.stallTimeoutMs = 5000
        return settings
    }
}

func repository(
    _ host: String, _ name: String = "team/app", _ settings: RegistrySettings = .forTests
) throws -> Repository {
    let client = RegistryClient(loop: try TestLoop.shared.get(), settings: settings)
    return client.repository(try Reference(parsing: host + "/" + name))
}

/// Bytes that do not repeat, the same for the same seed.
func sample(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var state = seed
    let words = (0..<count / 8 + 1).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 29
    }
    return words.withUnsafeBytes { Array($0.prefix(count)) }
}

func readAll(_ stream: any BlobStream, pieceBytes: Int = 100_000) throws -> [UInt8] {
    var all: [UInt8] = []
    var piece = [UInt8](repeating: 0, count: pieceBytes)
    while true {
        let count = try piece.withUnsafeMutableBytes { try stream.read(into: $0) }
        if count == 0 { return all }
        all += piece[..<count]
    }
}

func descriptor(_ bytes: [UInt8]) -> Descriptor {
    Descriptor(mediaType: "application/octet-stream", of: bytes)
}

/// A manifest of one small blob; both are stored.
func pushArtifact(
    _ repository: Repository, _ text: String = "x", subject: Descriptor? = nil,
    kind: String = "application/kind"
) throws -> (manifest: Manifest, bytes: [UInt8]) {
    let empty = Descriptor(mediaType: MediaType.ociEmpty, of: Array("{}".utf8))
    let layer = Descriptor(mediaType: "text/plain", of: Array(text.utf8))
    try repository.upload(empty.digest, bytes: Array("{}".utf8))
    try repository.upload(layer.digest, bytes: Array(text.utf8))
    let manifest = Manifest(configuration: empty, layers: [layer], artifactType: kind, subject: subject)
    return (manifest, try ManifestWriter.manifest(manifest))
}

/// A file with credentials in Docker's form, in a directory that goes with the object.
final class CredentialFixture {
    let path: String
    private let directory: String

    init(host: String, user: String, password: String) throws {
        directory = try makeTestDirectory("credentials")
        path = directory + "/config.json"
        let entry = #"{"auths":{"\#(host)":{"username":"\#(user)","password":"\#(password)"}}}"#
        try Directories.replaceFile(path, with: Array(entry.utf8))
    }

    deinit { try? Directories.removeTree(directory) }
}

/// The text of the error that the body throws.
func failure(_ body: () throws -> Void) -> String {
    do {
        try body()
        return "no error"
    } catch { return "\(error)" }
}
