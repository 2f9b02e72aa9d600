// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import OCI
import Testing

/// An OCI layout, written by hand, in a directory that goes with the test.
final class LayoutFixture {
    let path: String

    init() throws {
        var template = Array("/var/tmp/slacker-oci-XXXXXX".utf8CString)
        path = String(cString: try #require(mkdtemp(&template)))
        try Directories.create(path + "/blobs/sha256")
        try write(#"{"imageLayoutVersion":"1.0.0"}"#, as: "oci-layout")
    }

    deinit { _ = try? Subprocess.run(["rm", "-rf", path]) }

    static let manifestType = "application/vnd.oci.image.manifest.v1+json"
    static let indexType = "application/vnd.oci.image.index.v1+json"
    static let configType = "application/vnd.oci.image.config.v1+json"
    static let layerType = "application/vnd.oci.image.layer.v1.tar"

    func write(_ text: String, as name: String) throws {
        let file = try File(open: path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC)
        try file.write(Array(text.utf8), at: 0)
    }

    /// Stores a blob and returns its descriptor as JSON.
    func blob(_ text: String, _ mediaType: String, extra: String = "") throws -> String {
        let digest = Digest(hashing: Array(text.utf8))
        try write(text, as: "blobs/sha256/" + digest.hex)
        return #"{"mediaType":"\#(mediaType)","digest":"\#(digest)","size":\#(text.utf8.count)\#(extra)}"#
    }

    func config(diffIDs: [String], platform: String = "amd64") throws -> String {
        let list = diffIDs.map { "\"\($0)\"" }.joined(separator: ",")
        let text = """
            {"architecture":"\(platform)","os":"linux","config":{"Cmd":["sh"],"Env":["A=b"],"Volumes":{"/v":{}}},\
            "rootfs":{"type":"layers","diff_ids":[\(list)]},"history":[{"created_by":"x","empty_layer":true}]}
            """
        return try blob(text, Self.configType)
    }

    func manifest(
        config: String, layers: [String], extra: String = "", platform: String? = nil
    ) throws -> String {
        let text =
            #"{"schemaVersion":2,"config":\#(config),"layers":[\#(layers.joined(separator: ","))]\#(extra)}"#
        let place = platform.map { #","platform":{"os":"linux","architecture":"\#($0)"}"# } ?? ""
        return try blob(text, Self.manifestType, extra: place)
    }

    /// A manifest with one small layer.
    func simpleManifest(platform: String = "amd64") throws -> String {
        let layer = try blob("layer of \(platform)", Self.layerType)
        let digest = Digest(hashing: Array("layer of \(platform)".utf8))
        let config = try config(diffIDs: ["\(digest)"], platform: platform)
        return try manifest(config: config, layers: [layer], platform: platform)
    }

    func index(_ manifests: [String]) throws {
        try write(Self.index(manifests), as: "index.json")
    }

    static func index(_ manifests: [String]) -> String {
        #"{"schemaVersion":2,"manifests":[\#(manifests.joined(separator: ","))]}"#
    }

    func resolve(tag: String? = nil, platform: Platform? = nil) throws -> ResolvedImage {
        try ImageSource.layout(directory: path, tag: tag).resolve(platform: platform)
    }

    /// Resolving fails with a text that holds the words.
    func expectRefusal(
        _ words: String..., tag: String? = nil, platform: Platform? = nil,
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        let error = #expect(throws: OCIError.self, sourceLocation: sourceLocation) {
            try resolve(tag: tag, platform: platform)
        }
        let text = error?.description ?? ""
        for word in words { #expect(text.contains(word), "\(text)", sourceLocation: sourceLocation) }
    }
}
