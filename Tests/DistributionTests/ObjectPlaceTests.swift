// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Foundation
import Glibc
import HTTP
import TestSupport
import Testing
import Volumes

@testable import Distribution

@Suite("Push to and pull from directories, buckets and web servers")
struct ObjectPlaceTests {
    private func check(_ place: String, credentials: S3Credentials? = nil, from other: String? = nil) throws {
        let (here, there) = (try Machine(credentials: credentials), try Machine(credentials: credentials))
        var random = SplitMix(seed: 40)
        var content = try here.addNoise("base", chunks: 48, &random)
        let first = try here.push("base", place + "#team/app:1", PushOptions(packBytes: 1 << 20))
        #expect(first.newPacks == 3)
        let change = random.shrinkingBytes(Block.bytes)
        try here.change("base", into: "next", writing: change, at: 0)
        content.replaceSubrange(0..<4096, with: change)
        let second = try here.push("next", place + "#team/app:2")
        #expect(second.mapIsDifference && second.sentPlainBytes <= 16 * 4096 && second.newPacks == 1)
        let report = try there.pull((other ?? place) + "#team/app:2")
        #expect(report.image.name == "team/app:2" && report.presentChunks == 0)
        expectEqual(try there.content("team/app:2"), content)
        guard case .notFound = try failure({ try there.pull(place + "#team/app:3") }) else {
            Issue.record("an image was found that nobody pushed")
            return
        }
    }

    @Test("a directory", .timeLimit(.minutes(2)))
    func directory() throws {
        let directory = try TestDirectory()
        try check("dir:" + directory.path + "/images")
    }

    @Test("a bucket", .timeLimit(.minutes(16)))
    func bucket() throws {
        let directory = try TestDirectory()
        let port = try freeLoopbackPort()
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let server = try ServerProcess(
            [root + "/tools/moto-server", "\(port)"], logPath: directory.path + "/log")
        defer { server.stop() }
        let loop = try TransferLoop()
        let endpoint = "http://127.0.0.1:\(port)"
        // The first start may have to install the server.
        let deadline = MonotonicTime.now.advanced(bySeconds: 900)
        while (try? loop.perform(Request("PUT", endpoint + "/images")))?.status != 200 {
            try #require(MonotonicTime.now < deadline && server.isRunning)
            usleep(50_000)
        }
        try check(
            "s3://images/prefix?endpoint=" + percentEncoded(endpoint),
            credentials: S3Credentials(accessKey: "key", secretKey: "secret"))
    }

    @Test("a web server shows what a directory holds, and takes nothing", .timeLimit(.minutes(2)))
    func web() throws {
        let directory = try TestDirectory()
        let server = try WebServer(of: directory.path + "/images")
        try check("dir:" + directory.path + "/images", from: server.url)
        let machine = try Machine()
        try machine.add("x", [UInt8](repeating: 1, count: 4096))
        guard case .readOnlyPlace = try failure({ try machine.push("x", server.url + "#x") }) else {
            Issue.record("a web server took an image")
            return
        }
    }
}

/// nginx over a directory.
private final class WebServer {
    let url: String
    private let process: ServerProcess
    private let directory: TestDirectory

    init(of root: String) throws {
        try Directories.create(root, mode: 0o755)
        directory = try TestDirectory()
        let (path, port) = (directory.path, try freeLoopbackPort())
        let text = """
            daemon off; worker_processes 1; pid \(path)/pid; user root; events { }
            http {
                access_log off; client_body_temp_path \(path)/a; proxy_temp_path \(path)/b;
                fastcgi_temp_path \(path)/c; uwsgi_temp_path \(path)/d; scgi_temp_path \(path)/e;
                server { listen 127.0.0.1:\(port); location / { root \(root); } }
            }
            """
        try Directories.replaceFile(path + "/nginx.conf", with: Array(text.utf8))
        process = try ServerProcess(
            ["nginx", "-c", path + "/nginx.conf", "-p", path, "-e", path + "/errors"],
            logPath: path + "/log")
        url = "http://127.0.0.1:\(port)/"
        let deadline = MonotonicTime.now.advanced(bySeconds: 20)
        let loop = try TransferLoop()
        while (try? loop.perform(Request("GET", url))) == nil {
            try #require(MonotonicTime.now < deadline && process.isRunning)
            usleep(10_000)
        }
    }

    deinit { process.stop() }
}
