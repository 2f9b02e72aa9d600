// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import HTTP
import TestSupport
import Testing

@testable import OCI

@Suite("A real registry", .timeLimit(.minutes(2)))
struct RegistryTests {
    private let server: RegistryServer
    private let app: Repository

    init() throws {
        server = try RegistryServer()
        app = try repository(server.host)
    }

    @Test("blobs: absent, sent, asked for, fetched whole and as a stream")
    func blobs() throws {
        try app.ping()
        let bytes = sample(3_000_000)
        let digest = Digest(hashing: bytes)
        #expect(try app.blobSize(digest) == nil)
        #expect(
            failure { _ = try app.blob(digest, sizeBytes: 3_000_000) }.contains("it has no blob \(digest)"))
        try app.upload(digest, bytes: bytes)
        try app.upload(digest, bytes: bytes)
        #expect(try app.blobSize(digest) == 3_000_000)
        #expect(try app.blob(digest, sizeBytes: 3_000_000) == bytes)
        #expect(try readAll(app.openBlob(descriptor(bytes)), pieceBytes: 1234) == bytes)
        let empty = descriptor([])
        try app.upload(empty.digest, bytes: [])
        #expect(try app.blob(empty.digest, sizeBytes: 0).isEmpty)
        let wrong = Descriptor(mediaType: "", digest: digest, sizeBytes: 2_999_999)
        #expect(throws: OCIError.self) { try readAll(app.openBlob(wrong)) }
        try app.deleteBlob(digest)
        #expect(try app.blobSize(digest) == nil)
    }

    @Test("an upload under a wrong digest is refused")
    func wrongDigest() throws {
        let words = failure { try app.upload(Digest(hashing: [1]), bytes: [2]) }
        #expect(words.contains("DIGEST_INVALID"), "\(words)")
    }

    @Test("a part of a file goes in one request or in chunks", arguments: [false, true])
    func uploadFile(chunked: Bool) throws {
        var settings = RegistrySettings.forTests
        if chunked { (settings.monolithicLimitBytes, settings.chunkBytes) = (1000, 700_001) }
        let app = try repository(server.host, "files", settings)
        let bytes = sample(2_500_000, seed: 7)
        let path = server.directory + "/blob"
        let file = try File(open: path, O_RDWR | O_CREAT)
        try file.write(bytes, at: 0)
        let part = Array(bytes[1000..<2_300_000])
        let heard = Lock<[UInt64]>([])
        try app.upload(Digest(hashing: part), from: file, offset: 1000, count: UInt64(part.count)) { sent in
            heard.withLock { $0.append(sent) }
        }
        #expect(try app.blob(Digest(hashing: part), sizeBytes: UInt64(part.count)) == part)
        let progress = heard.withLock { $0 }
        #expect(progress.last == UInt64(part.count))
        #expect(progress == progress.sorted())
    }

    @Test("a cancelled upload leaves nothing behind")
    func cancelledUpload() throws {
        var settings = RegistrySettings.forTests
        (settings.monolithicLimitBytes, settings.chunkBytes) = (0, 100_000)
        let app = try repository(server.host, "cancelled", settings)
        let path = server.directory + "/blob"
        let file = try File(open: path, O_RDWR | O_CREAT)
        let bytes = sample(1_000_000)
        try file.write(bytes, at: 0)
        let sent = Lock<UInt64>(0)
        let words = failure {
            try app.upload(
                Digest(hashing: bytes), from: file, offset: 0, count: 1_000_000,
                progress: { count in sent.withLock { $0 = count } },
                isCancelled: { sent.withLock { $0 } >= 300_000 })
        }
        #expect(words.hasSuffix("stopped"))
        let uploads = server.directory + "/data/docker/registry/v2/repositories/cancelled/_uploads"
        // The server itself leaves empty directories there.
        let left = try output(["find", uploads, "-name", "data", "-o", "-name", "startedat"])
        #expect(left.isEmpty)
    }

    @Test("a blob of another repository is mounted, or not when it is not there")
    func mount() throws {
        let other = app.client.repository(try Reference(parsing: server.host + "/other/place"))
        let bytes = sample(1000)
        let digest = Digest(hashing: bytes)
        #expect(try !app.mount(digest, from: "other/place"))
        try other.upload(digest, bytes: bytes)
        #expect(try app.mount(digest, from: "other/place"))
        #expect(try app.blob(digest, sizeBytes: 1000) == bytes)
        #expect(throws: OCIError.self) { try app.mount(digest, from: "../other") }
    }

    @Test("manifests by tag and digest, lists of tags, deletion")
    func manifests() throws {
        let (_, bytes) = try pushArtifact(app)
        #expect(try app.tags().isEmpty)
        #expect(try app.resolve(.tag("one")) == nil)
        let digest = try app.putManifest(bytes, mediaType: MediaType.ociManifest, as: "one")
        for number in 0..<5 { try app.putManifest(bytes, mediaType: MediaType.ociManifest, as: "t\(number)") }
        #expect(digest == Digest(hashing: bytes))
        let fetched = try app.manifest(.tag("one"))
        #expect(
            fetched.bytes == bytes && fetched.digest == digest && fetched.mediaType == MediaType.ociManifest)
        #expect(try app.manifest(.digest(digest)) == fetched)
        #expect(try app.resolve(.tag("one")) == fetched.descriptor)
        #expect(try app.tags() == ["one", "t0", "t1", "t2", "t3", "t4"])
        #expect(
            failure { _ = try app.manifest(.tag("two")) }
                == "\(server.host)/team/app: it has no manifest two; check the name, or push it first")
        #expect(throws: OCIError.self) { try app.manifest(.tag("../x")) }
        try app.deleteManifest(digest)
        try app.deleteManifest(digest)
        #expect(try app.resolve(.digest(digest)) == nil)
        let index = try ManifestWriter.index([])
        try app.putManifest(index, mediaType: MediaType.ociIndex, as: "index")
        #expect(try app.manifest(.tag("index")).document() == .index([]))
    }

    @Test("without a referrers API the list under the fallback tag is kept and read")
    func referrers() throws {
        let (_, image) = try pushArtifact(app, "image")
        let subject = Descriptor(mediaType: MediaType.ociManifest, of: image)
        try app.putManifest(image, mediaType: MediaType.ociManifest, as: "image")
        #expect(try app.referrers(of: subject.digest, artifactType: "").isEmpty)
        var attached: [Digest] = []
        for (text, kind) in [("a", "application/one"), ("b", "application/two"), ("c", "application/one")] {
            let (_, bytes) = try pushArtifact(app, text, subject: subject, kind: kind)
            attached.append(try app.attach(bytes, subject: subject.digest))
            // A second time changes nothing.
            try app.attach(bytes, subject: subject.digest)
        }
        let fallback = try app.manifest(.tag("sha256-" + subject.digest.hex))
        guard case .index(let listed) = try fallback.document() else {
            Issue.record("no index")
            return
        }
        #expect(listed.map(\.digest) == attached)
        #expect(
            try app.referrers(of: subject.digest, artifactType: "application/one").map(\.digest) == [
                attached[0], attached[2],
            ])
        try app.deleteManifest(attached[0])
        #expect(
            try app.referrers(of: subject.digest, artifactType: "").map(\.digest) == [
                attached[1], attached[2],
            ])
        let (_, lone) = try pushArtifact(app, "d")
        #expect(throws: OCIError.self) { try app.attach(lone, subject: subject.digest) }
    }

    @Test("requests for the fetch engine carry what they need")
    func requests() throws {
        let bytes = sample(100_000)
        let digest = Digest(hashing: bytes)
        try app.upload(digest, bytes: bytes)
        // A client that has never spoken to the registry.
        let fresh = try repository(server.host)
        var (request, options) = try fresh.blobRequest(digest)
        options.range = 500..<1500
        let response = try TestLoop.shared.get().perform(request, options)
        #expect(response.status == 206)
        #expect(response.body == Array(bytes[500..<1500]))
        #expect(options.group == .demand)
        #expect(!request.headers.contains { $0.name == "Authorization" })
    }

    @Test("a registry that is away, and one that comes back")
    func away() throws {
        server.stop()
        let words = failure { _ = try app.manifest(.tag("x")) }
        #expect(words.contains("no connection"), "\(words)")
        #expect(words.hasPrefix("\(server.host)/team/app: manifest x"), "\(words)")
    }
}
