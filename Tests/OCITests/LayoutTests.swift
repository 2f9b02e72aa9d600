// SPDX-License-Identifier: Apache-2.0

import Base
import OCI
import Testing

@Suite struct LayoutTests {
    private static let amd64 = Platform(os: "linux", architecture: "amd64")
    private static let arm64 = Platform(os: "linux", architecture: "arm64", variant: "v8")

    @Test func aSimpleImage() throws {
        let layout = try LayoutFixture()
        try layout.index([try layout.simpleManifest()])
        let image = try layout.resolve(platform: Self.amd64)
        #expect(image.configuration.config?.command == ["sh"])
        #expect(image.configuration.history?.first?.emptyLayer == true)
        #expect(image.layers.count == 1)
        #expect(image.layers[0].sizeBytes == 14)
        #expect(image.layers[0].compression == .none)
        #expect(image.configurationBytes.count > 100)
    }

    @Test func platformsAreChosen() throws {
        let layout = try LayoutFixture()
        let inner = try layout.blob(
            LayoutFixture.index([
                try layout.simpleManifest(platform: "amd64"), try layout.simpleManifest(platform: "arm64"),
            ]), LayoutFixture.indexType)
        try layout.index([inner])
        #expect(try layout.resolve(platform: Self.amd64).configuration.architecture == "amd64")
        #expect(try layout.resolve(platform: Self.arm64).configuration.architecture == "arm64")
        let other = Platform(os: "linux", architecture: "s390x")
        try layout.expectRefusal("linux/s390x", "linux/amd64, linux/arm64", platform: other)
    }

    @Test func indexesMayNotNestForever() throws {
        let layout = try LayoutFixture()
        var entry = try layout.simpleManifest()
        for depth in 1...4 {
            try layout.index([entry])
            if depth <= 3 {
                _ = try layout.resolve()
            } else {
                try layout.expectRefusal("nested deeper")
            }
            entry = try layout.blob(LayoutFixture.index([entry]), LayoutFixture.indexType)
        }
    }

    @Test func tags() throws {
        let layout = try LayoutFixture()
        func tagged(_ manifest: String, _ tag: String) -> String {
            manifest.dropLast() + #","annotations":{"org.opencontainers.image.ref.name":"\#(tag)"}}"#
        }
        let one = try layout.simpleManifest(platform: "amd64")
        let two = try layout.simpleManifest(platform: "arm64")
        try layout.index([tagged(one, "one"), tagged(two, "two")])
        #expect(try layout.resolve(tag: "two").configuration.architecture == "arm64")
        try layout.expectRefusal("no image is tagged three", "one, two", tag: "three")
        try layout.expectRefusal("several images", "one, two")
    }

    @Test func contentMustAgreeWithItsMediaType() throws {
        let layout = try LayoutFixture()
        let config = try layout.config(diffIDs: [])
        func refuse(_ extra: String, _ word: String) throws {
            try layout.index([try layout.manifest(config: config, layers: [], extra: extra)])
            try layout.expectRefusal(word)
        }
        try refuse(#","manifests":[]"#, "manifest and an index at once")
        try refuse(#","mediaType":"application/vnd.oci.image.index.v1+json""#, "announced was")
        try refuse(#","fsLayers":[]"#, "schema 1")
        try layout.index([try layout.blob(LayoutFixture.index([]), LayoutFixture.manifestType)])
        try layout.expectRefusal("does not fit its media type")
        try layout.index([try layout.blob("{}", LayoutFixture.manifestType)])
        try layout.expectRefusal("schemaVersion")
        try layout.index([try layout.blob("{}", "application/vnd.example+json")])
        try layout.expectRefusal("unknown media type")
    }

    @Test func layersMustBeKnownAndCounted() throws {
        let layout = try LayoutFixture()
        let diffID = "\(Digest(hashing: Array("x".utf8)))"
        func refuse(_ config: String, _ layer: String, _ word: String) throws {
            try layout.index([try layout.manifest(config: config, layers: [layer])])
            try layout.expectRefusal(word)
        }
        let layer = try layout.blob("x", LayoutFixture.layerType)
        let good = try layout.config(diffIDs: [diffID])
        try refuse(try layout.config(diffIDs: []), layer, "has 1 layers")
        try refuse(try layout.config(diffIDs: ["sha256:zz"]), layer, "not a content digest")
        try refuse(good, try layout.blob("x", "application/x-odd"), "unknown media type")
        try refuse(
            good, try layout.blob("x", "application/vnd.oci.image.layer.nondistributable.v1.tar"),
            "foreign layer")
        try refuse(
            good, try layout.blob("x", LayoutFixture.layerType, extra: #","urls":["u"]"#), "foreign layer")
        let digest = diffID
        func descriptor(_ digest: String, _ size: String) -> String {
            #"{"mediaType":"\#(LayoutFixture.layerType)","digest":"\#(digest)","size":\#(size)}"#
        }
        try refuse(good, descriptor(digest, "-5"), "negative")
        try refuse(good, descriptor(digest, "10"), "10 are announced")
        try refuse(good, descriptor(digest, "1099511627776"), "announced")
        try refuse(good, descriptor(digest, "9223372036854775807"), "more than a blob can have")
        try refuse(good, descriptor(digest, "9223372036854775808"), "it is not JSON")
        try refuse(good, descriptor("sha256:../../x", "1"), "not a content digest")
        try refuse(good, descriptor("\(Digest(hashing: [9]))", "1"), "it has no blobs/sha256")
        let many = [String](repeating: descriptor(digest, "1"), count: 501)
        try layout.index([try layout.manifest(config: good, layers: many)])
        try layout.expectRefusal("501 layers")
    }

    @Test func documentsAreBoundedAndChecked() throws {
        let layout = try LayoutFixture()
        try layout.write(String(repeating: " ", count: 5 << 20), as: "index.json")
        try layout.expectRefusal("at most 4194304")
        let deep = String(repeating: "[", count: 100_000)
        try layout.write(#"{"schemaVersion":2,"manifests":"# + deep, as: "index.json")
        try layout.expectRefusal("nested deeper")
        try layout.write("no json", as: "index.json")
        try layout.expectRefusal("it is not JSON")
        let manifest = try layout.simpleManifest()
        try layout.index([manifest])
        let hex = manifest.split(separator: "\"").first { $0.hasPrefix("sha256:") }?.dropFirst(7) ?? ""
        let name = "blobs/sha256/" + hex
        let original = try Subprocess.run(["cat", layout.path + "/" + name]).output
        try layout.write(original.replacing("schemaVersion", with: "SchemaVersion"), as: name)
        try layout.expectRefusal("its bytes have digest")
        try Directories.removeFile(layout.path + "/" + name)
        try layout.expectRefusal("incomplete")
        try Directories.removeFile(layout.path + "/oci-layout")
        try layout.expectRefusal("oci-layout")
    }
}
