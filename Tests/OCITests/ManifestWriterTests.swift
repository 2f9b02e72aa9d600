// SPDX-License-Identifier: Apache-2.0

import Base
import OCI
import Testing

@Suite("Manifests that are written")
struct ManifestWriterTests {
    private let blob = Descriptor(
        mediaType: "application/x", of: Array("{}".utf8), annotations: ["b": "2", "a": "1"])

    @Test("always the same bytes, which read as what they were made of")
    func manifest() throws {
        let subject = Descriptor(mediaType: MediaType.ociManifest, of: [1, 2, 3])
        let manifest = Manifest(
            configuration: blob, layers: [blob], artifactType: "application/kind", subject: subject,
            annotations: ["z": "é/\u{1}"])
        let bytes = try ManifestWriter.manifest(manifest)
        #expect(try ManifestWriter.manifest(manifest) == bytes)
        let text = String(decoding: bytes, as: UTF8.self)
        #expect(text.hasPrefix(#"{"annotations":{"z":"é/"#))
        #expect(text.contains(#"{"annotations":{"a":"1","b":"2"},"digest":"sha256:"#))
        let parsed = try ManifestDocument(parsing: bytes, mediaType: MediaType.ociManifest, name: "m")
        #expect(parsed == .manifest(manifest))
        #expect(manifest.kind == "application/kind")
        #expect(Manifest(configuration: blob, layers: []).kind == "application/x")
    }

    @Test func index() throws {
        let entry = Descriptor(
            mediaType: MediaType.ociManifest, digest: blob.digest, sizeBytes: 2,
            platform: Platform(os: "linux", architecture: "arm64", variant: "v8"), annotations: ["k": "v"],
            artifactType: "t", data: Array("{}".utf8))
        let bytes = try ManifestWriter.index([entry, blob])
        let parsed = try ManifestDocument(parsing: bytes, mediaType: MediaType.ociIndex, name: "i")
        #expect(parsed == .index([entry, blob]))
    }

    @Test("data inside a descriptor must be what the descriptor names")
    func foreignData() {
        let text = """
            {"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"\(blob.digest)","size":2,"data":"e30h"}]}
            """
        #expect(throws: OCIError.self) {
            try ManifestDocument(parsing: Array(text.utf8), mediaType: nil, name: "i")
        }
    }

    @Test func tooLong() {
        let manifest = Manifest(
            configuration: blob, layers: [], annotations: ["x": String(repeating: "y", count: 5 << 20)])
        #expect(throws: OCIError.self) { try ManifestWriter.manifest(manifest) }
    }
}
