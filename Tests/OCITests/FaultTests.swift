// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP
import TestSupport
import Testing

@testable import OCI

@Suite("A real registry behind a bad line", .timeLimit(.minutes(2)))
struct FaultTests {
    private let server: RegistryServer
    private let proxy: FaultProxy
    private let app: Repository

    init() throws {
        server = try RegistryServer()
        proxy = try FaultProxy(upstream: server.port)
        var settings = RegistrySettings.forTests
        settings.stallTimeoutMs = 1000
        app = try repository(proxy.host, "team/app", settings)
    }

    private static let faults: [(name: String, fault: FaultProxy.Fault)] = [
        ("reset", .reset(afterBytes: 70_000)), ("short", .shorten(toBytes: 70_000)),
        ("stall", .stall(afterBytes: 70_000, seconds: 3)), ("hang up", .hangUp),
        ("503", .answer(503, headers: [("Retry-After", "1")])),
    ]

    @Test("a pull comes through", arguments: faults.map(\.name))
    func pull(name: String) throws {
        let fault = try #require(Self.faults.first { $0.name == name }?.fault)
        let bytes = sample(400_000)
        try app.upload(Digest(hashing: bytes), bytes: bytes)
        proxy.inject(fault, times: 3) { $0.method == "GET" && $0.headers["range"] != "bytes=0-0" }
        #expect(try readAll(app.openBlob(descriptor(bytes))) == bytes)
    }

    @Test("a byte that is another one is found at the end")
    func flipped() throws {
        let bytes = sample(400_000)
        try app.upload(Digest(hashing: bytes), bytes: bytes)
        proxy.inject(.flip(atByte: 1000), times: 1)
        let words = failure { _ = try readAll(app.openBlob(descriptor(bytes))) }
        #expect(words.contains("its bytes have digest"), "\(words)")
        #expect(try app.blob(Digest(hashing: bytes), sizeBytes: 400_000) == bytes)
    }

    @Test(
        "an upload whose requests are lost comes through, in chunks",
        arguments: ["PUT", "PATCH", "POST", "HEAD"])
    func push(method: String) throws {
        let bytes = sample(300_000)
        if method == "PATCH" { proxy.inject(.hangUp) { $0.method == "PUT" } }
        proxy.inject(.hangUp, times: 2) { $0.method == method }
        try app.upload(Digest(hashing: bytes), bytes: bytes)
        #expect(try app.blob(Digest(hashing: bytes), sizeBytes: 300_000) == bytes)
        let (_, manifest) = try pushArtifact(app)
        proxy.inject(.hangUp, times: 2) { $0.method == "PUT" }
        try app.putManifest(manifest, mediaType: MediaType.ociManifest, as: "x")
        #expect(try app.manifest(.tag("x")).bytes == manifest)
    }

    @Test("a registry that hangs is given up in time, and used again when it goes on")
    func frozen() throws {
        try app.ping()
        server.freeze(true)
        let begin = MonotonicTime.now
        var settings = RegistrySettings.forTests
        (settings.stallTimeoutMs, settings.attempts) = (500, 2)
        let impatient = try repository(server.host, "team/app", settings)
        let words = failure { _ = try impatient.manifest(.tag("x")) }
        #expect(words.contains("nothing moved for 500 ms"), "\(words)")
        #expect(MonotonicTime.now.seconds(since: begin) < 10)
        server.freeze(false)
        try impatient.ping()
    }

    @Test("a tag that the registry cannot remove on its own stays, and we say so")
    func deleteTag() throws {
        let (_, manifest) = try pushArtifact(app)
        try app.putManifest(manifest, mediaType: MediaType.ociManifest, as: "x")
        #expect(failure { try app.deleteTag("x") }.contains("refused with status"))
        #expect(try app.resolve(.tag("x")) != nil)
    }
}
