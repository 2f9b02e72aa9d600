// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import HTTP
import Testing

@testable import ChunkStore

@Suite("S3: signatures, places, credentials")
struct BackendS3TextTests {
    // The examples of the documentation of AWS, "Signature calculations for the Authorization header".
    private let signer = S3Signer(
        credentials: S3Credentials(
            accessKey: "AKIAIOSFODNN7EXAMPLE", secretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
        region: "us-east-1")
    private let time = 1_369_353_600

    private func signature(_ subject: S3Signer.Subject) -> String? {
        signer.headers(for: subject, time: time).last?.value.split(separator: "=").last.map(String.init)
    }

    @Test("the published examples have the published signatures")
    func signatures() {
        let host = "examplebucket.s3.amazonaws.com"
        let get = S3Signer.Subject(
            method: "GET", host: host, path: "/test.txt", headers: [("Range", "bytes=0-9")])
        #expect(signature(get) == "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41")
        let put = S3Signer.Subject(
            method: "PUT", host: host, path: "/test%24file.text",
            headers: [
                ("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ],
            payloadHash: Digest(hashing: Array("Welcome to Amazon S3.".utf8)).hex)
        #expect(signature(put) == "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd")
        let lifecycle = S3Signer.Subject(method: "GET", host: host, path: "/", query: [("lifecycle", "")])
        #expect(signature(lifecycle) == "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543")
        let list = S3Signer.Subject(
            method: "GET", host: host, path: "/", query: [("prefix", "J"), ("max-keys", "2")])
        #expect(signature(list) == "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7")
    }

    @Test("places and where their requests go")
    func locations() throws {
        let own = try S3Location(
            uri: "s3://images/team/a?endpoint=http%3A%2F%2Fminio.example.test%3A9000&region=eu")
        #expect(own.base(region: "eu") == ("http", "minio.example.test:9000", "/images"))
        #expect(own.prefix == "team/a" && own.region == "eu")
        let aws = try S3Location(uri: "s3://images")
        #expect(aws.base(region: "eu-west-1") == ("https", "images.s3.eu-west-1.amazonaws.com", ""))
        let dotted = try S3Location(uri: "s3://my.images/")
        #expect(dotted.base(region: "x") == ("https", "s3.x.amazonaws.com", "/my.images"))
        let hosted = try S3Location(uri: "s3://images?endpoint=https://s3.example.test:443/&path-style=false")
        #expect(hosted.base(region: "x") == ("https", "images.s3.example.test", ""))
        for wrong in [
            "http://a", "s3://", "s3://a/b", "s3://bucket/../x", "s3://bucket?what=1",
            "s3://bucket?endpoint=ftp://x",
            "s3://bucket?region", "s3://buck%20et",
        ] {
            #expect(throws: ChunkStoreError.self, "\(wrong)") { try S3Location(uri: wrong) }
        }
    }

    @Test("credentials come from the environment, else from the file, and are looked up again")
    func credentials() throws {
        let directory = try TemporaryDirectory()
        let path = directory.path + "/credentials"
        func write(_ text: String) throws {
            try File(open: path, O_WRONLY | O_CREAT | O_TRUNC).write(Array(text.utf8), at: 0)
        }
        try write("[default]\naws_access_key_id = A\naws_secret_access_key=B\n[two]\naws_access_key_id=C\n")
        var environment = ["AWS_SHARED_CREDENTIALS_FILE": path]
        let finder = S3CredentialFinder(fixed: nil, environment: environment)
        #expect(finder.current() == S3Credentials(accessKey: "A", secretKey: "B"))
        try write("[default]\naws_access_key_id=D\naws_secret_access_key=E\naws_session_token=F\n")
        #expect(finder.current()?.accessKey == "A")
        finder.forget()
        #expect(finder.current() == S3Credentials(accessKey: "D", secretKey: "E", sessionToken: "F"))
        environment["AWS_PROFILE"] = "none"
        #expect(S3CredentialFinder(fixed: nil, environment: environment).current() == nil)
        environment["AWS_ACCESS_KEY_ID"] = "G"
        environment["AWS_SECRET_ACCESS_KEY"] = "H"
        let found = S3CredentialFinder(fixed: nil, environment: environment).current()
        #expect(found == S3Credentials(accessKey: "G", secretKey: "H"))
    }

    @Test("texts of elements")
    func xml() {
        let text = Array("<a><Key>x&amp;y</Key><Key>z</Key><Key>cut".utf8)
        #expect(XMLText.elements("Key", in: text) == ["x&y", "z"])
        #expect(XMLText.element("None", in: text) == nil)
    }

    @Test("seconds and dates to wait for")
    func retryAfter() {
        #expect(SourceFailure.retryAfterMs("3") == 3000)
        #expect(SourceFailure.retryAfterMs("-3") == nil)
        #expect(SourceFailure.retryAfterMs("99999999999") == 86_400_000)
        #expect(SourceFailure.retryAfterMs("Wed, 21 Oct 2015 07:28:00 GMT") == 0)
        #expect(SourceFailure.retryAfterMs("soon") == nil)
    }
}

@Suite("S3 against a server", .timeLimit(.minutes(20)))
struct BackendS3Tests {
    private let credentials = S3Credentials(accessKey: "test", secretKey: "secret")

    private func location(_ server: TestServer) -> S3Location {
        S3Location(bucket: "images", prefix: "team/a b", endpoint: server.url, credentials: credentials)
    }

    private func bucket(_ server: TestServer, _ loop: TransferLoop) throws {
        #expect(try loop.perform(Request("PUT", server.url + "/images")).status == 200)
    }

    private func file(_ directory: TemporaryDirectory, _ bytes: [UInt8]) throws -> (ObjectName, File) {
        let name = ObjectName(.pack, Digest(hashing: bytes))
        let file = try File(open: directory.path + "/" + name.digest.hex, O_RDWR | O_CREAT | O_TRUNC)
        try file.write(bytes, at: 0)
        return (name, file)
    }

    @Test("objects are put, found, read, listed and removed")
    func objects() throws {
        let (server, directory, loop) = (try TestServer.moto(), try TemporaryDirectory(), try TransferLoop())
        defer { loop.stop() }
        try bucket(server, loop)
        let backend = S3Backend(location(server), loop: loop)
        let bytes = largeContent(1, blocks: 40)
        let (name, file) = try file(directory, bytes)
        #expect(try backend.size(of: name) == nil)
        try backend.put(name, contentsOf: file)
        try backend.put(name, contentsOf: file)
        #expect(try backend.size(of: name) == UInt64(bytes.count))
        #expect(same(try backend.read(name, at: 100, count: 5000), Array(bytes[100..<5100])))
        #expect(try backend.list(.pack) == [name])
        #expect(try backend.list(.blockMap) == [])
        let wrong = ObjectName(.pack, Digest(hashing: [1]))
        #expect(throws: ChunkStoreError.self) { try backend.put(wrong, contentsOf: file) }
        #expect(throws: ChunkStoreError.self) { try backend.read(name, at: UInt64(bytes.count), count: 1) }
        try backend.delete(name)
        try backend.delete(name)
        #expect(try !backend.exists(name))
    }

    @Test("a list that comes in pages is complete")
    func pages() throws {
        let (server, loop) = (try TestServer.moto(), try TransferLoop())
        defer { loop.stop() }
        try bucket(server, loop)
        let client = S3Client(location(server), loop: loop, environment: [:])
        let count = 1100
        for index in 0..<count {
            let call = S3Client.Call(
                method: "PUT", key: "maps/" + Digest(hashing: Array("\(index)".utf8)).hex, body: .bytes([1]),
                payloadHash: Digest(hashing: [1]).hex)
            #expect(try client.perform(call).status == 200)
        }
        #expect(try S3Backend(location(server), loop: loop).list(.blockMap).count == count)
    }

    @Test("a large object goes in parts; a failure leaves nothing of it")
    func parts() throws {
        let (server, directory, loop) = (try TestServer.moto(), try TemporaryDirectory(), try TransferLoop())
        defer { loop.stop() }
        try bucket(server, loop)
        let bytes = largeContent(1, blocks: 6400)
        let (name, file) = try file(directory, bytes)
        let backend = S3Backend(location(server), loop: loop, partBytes: 5 << 20)
        try backend.put(name, contentsOf: file)
        #expect(try backend.size(of: name) == UInt64(bytes.count))
        let keeper = RangeKeeper()
        let range = UInt64(1_000_000)..<UInt64(bytes.count)
        _ = backend.packSource().fetch(
            name, sizeBytes: UInt64(bytes.count), range: range, class: .boot, to: keeper)
        let state = try #require(keeper.wait())
        #expect(state.finishes == [nil] && same(state.bytes, Array(bytes[1_000_000...])))
        // Half of what it expects is not there: no part can be read to its end.
        let upload = S3Upload(
            client: backend.client, key: "packs/broken", file: file, sizeBytes: UInt64(bytes.count) * 2,
            partBytes: 5 << 20)
        #expect(throws: ChunkStoreError.self) { try upload.run() }
        let left = try backend.client.perform(.init(method: "GET", query: [("uploads", "")]))
        #expect(left.status == 200 && XMLText.elements("UploadId", in: left.body).isEmpty)
    }

    @Test("names change only under their condition")
    func names() throws {
        let (server, loop) = (try TestServer.moto(), try TransferLoop())
        defer { loop.stop() }
        try bucket(server, loop)
        try namesBehave(S3Backend(location(server), loop: loop))
    }
}

/// What every store of named objects has to do.
func namesBehave(_ store: some NamedObjects) throws {
    let name = "library/python:3.12 ü"
    #expect(try store.readName(name) == nil)
    #expect(try store.listNames() == [])
    #expect(try !store.writeName(name, bytes: [1], if: .matches("x")))
    #expect(try store.writeName(name, bytes: [1], if: .absent))
    #expect(try !store.writeName(name, bytes: [2], if: .absent))
    let first = try #require(try store.readName(name))
    #expect(first.bytes == [1])
    #expect(try store.writeName(name, bytes: [3], if: .matches(first.etag)))
    #expect(try !store.writeName(name, bytes: [4], if: .matches(first.etag)))
    #expect(try store.writeName(name, bytes: [5], if: .always))
    #expect(try store.writeName("..", bytes: [6], if: .always))
    #expect(try store.listNames() == ["..", name])
    #expect(try store.readName(name)?.bytes == [5])
    try store.deleteName(name)
    try store.deleteName(name)
    #expect(try store.listNames() == [".."])
    #expect(throws: ChunkStoreError.self) { try store.readName(String(repeating: "x", count: 300)) }
    #expect(throws: ChunkStoreError.self) { try store.readName("") }
}
