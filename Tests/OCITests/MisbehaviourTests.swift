// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import HTTP
import TestSupport
import Testing

@testable import OCI

@Suite("Registries that misbehave", .timeLimit(.minutes(2)))
struct MisbehaviourTests {
    private typealias Answer = ScriptedHTTPServer.Answer
    private typealias Request = ScriptedHTTPServer.Request

    /// The part of a blob that a request asks for, as a good server would give it.
    private static func part(of bytes: [UInt8], _ request: Request) -> Answer {
        guard let range = request.headers["range"]?.dropFirst(6).split(separator: "-"),
            let first = range.first.flatMap({ Int($0) }), first < bytes.count
        else { return Answer(200, body: bytes) }
        let last = min(range.count > 1 ? Int(range[1]) ?? 0 : .max, bytes.count - 1)
        return Answer(
            206, headers: [("Content-Range", "bytes \(first)-\(last)/\(bytes.count)")],
            body: Array(bytes[first...last]))
    }

    /// Answers with the given statuses first and with the blob then.
    private func stumbling(
        _ statuses: [Int], _ bytes: [UInt8], retryAfter: String? = nil
    ) throws -> ScriptedHTTPServer {
        let left = Lock(statuses)
        return try ScriptedHTTPServer { request in
            let status = left.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            guard let status else { return Self.part(of: bytes, request) }
            return Answer(status, headers: retryAfter.map { [("Retry-After", $0)] } ?? [], text: "wait")
        }
    }

    @Test("passing errors are borne", arguments: [429, 500, 502, 503, 504])
    func passing(status: Int) throws {
        let bytes = sample(10_000)
        let server = try stumbling([status, status, status], bytes)
        #expect(try repository(server.host).blob(Digest(hashing: bytes), sizeBytes: 10_000) == bytes)
        let lasting = try stumbling(Array(repeating: status, count: 100), bytes)
        let words = failure { _ = try repository(lasting.host).manifest(.tag("x")) }
        #expect(lasting.requests.count == 5)
        #expect(words.contains("wait"), "\(words)")
    }

    @Test("a server says when it wants to be asked again, up to a limit")
    func retryAfter() throws {
        let bytes = sample(1000)
        let server = try stumbling([429, 503], bytes, retryAfter: "1")
        let begin = MonotonicTime.now
        #expect(try repository(server.host).blobSize(Digest(hashing: bytes)) == 1000)
        #expect(MonotonicTime.now.seconds(since: begin) >= 2)
        let slow = try stumbling([503, 503], bytes, retryAfter: "3600")
        #expect(throws: OCIError.self) { try repository(slow.host).blobSize(Digest(hashing: bytes)) }
        #expect(slow.requests.count == 1)
    }

    @Test("a stream that is cut again and again is taken up where it ended")
    func cuts() throws {
        let bytes = sample(900_000)
        let count = Lock(0)
        let server = try ScriptedHTTPServer { request in
            var answer = Self.part(of: bytes, request)
            let number = count.withLock {
                $0 += 1; return $0
            }
            // The first is the question for one byte.
            if number > 1, answer.body.count > 100_000 {
                answer.announcedBytes = answer.body.count
                answer.resetAfterBytes = 100_000
            }
            return answer
        }
        #expect(try readAll(repository(server.host).openBlob(descriptor(bytes))) == bytes)
        let ranges = server.requests.compactMap { $0.headers["range"] }
        #expect(ranges.contains("bytes=100000-899999"), "\(ranges)")
    }

    @Test("a server without ranges is read from the beginning again")
    func noRanges() throws {
        let bytes = sample(500_000)
        let isFirst = Lock(true)
        let server = try ScriptedHTTPServer { request in
            var answer = Answer(200, body: bytes)
            let range = request.headers["range"]
            if range != "bytes=0-0",
                isFirst.withLock({ was in
                    defer { was = false }; return was
                })
            {
                (answer.announcedBytes, answer.resetAfterBytes) = (bytes.count, 200_000)
            }
            return answer
        }
        #expect(try readAll(repository(server.host).openBlob(descriptor(bytes))) == bytes)
    }

    @Test("a server that lies about range, size or content is found out")
    func lies() throws {
        let bytes = sample(50_000)
        var changed = bytes
        changed[40_000] ^= 1
        let flipped = changed
        let liars: [(String, ScriptedHTTPServer.Handler)] = [
            ("digest", { request in Self.part(of: flipped, request) }),
            ("more", { request in Self.part(of: bytes + [0], request) }),
            ("announced", { _ in Answer(200, body: Array(bytes.dropLast())) }),
            (
                "bytes from 0",
                { _ in
                    Answer(206, headers: [("Content-Range", "bytes 5-50004/50005")], body: bytes)
                }
            ),
            ("status 204", { _ in Answer(204) }),
        ]
        for (_, handler) in liars {
            let server = try ScriptedHTTPServer(handler)
            #expect(throws: OCIError.self) {
                try repository(server.host).blob(Digest(hashing: bytes), sizeBytes: 50_000)
            }
            #expect(server.requests.count <= 12)
        }
        let manifest = try ScriptedHTTPServer { _ in
            Answer(200, headers: [("Docker-Content-Digest", "\(Digest(hashing: [1]))")], text: "{}")
        }
        for selector in [Reference.Selector.tag("x"), .digest(Digest(hashing: [2]))] {
            let words = failure { _ = try repository(manifest.host).manifest(selector) }
            #expect(words.contains("its bytes have digest"), "\(words)")
        }
        let long = sample(5 << 20)
        let huge = try ScriptedHTTPServer { _ in Answer(200, body: long) }
        #expect(failure { _ = try repository(huge.host).manifest(.tag("x")) }.contains("more than"))
    }

    @Test("a registry that forgets its token in the middle of a pull is shown a new one")
    func expiryInTheMiddle() throws {
        let bytes = sample(400_000)
        let (issued, valid, cuts) = (Lock(0), Lock(0), Lock(0))
        let server = try ScriptedHTTPServer { request in
            if request.path == "/token" {
                let number = issued.withLock {
                    $0 += 1; return $0
                }
                valid.withLock { $0 = number }
                return Answer(200, text: #"{"token":"t\#(number)","expires_in":3600}"#)
            }
            let current = valid.withLock { $0 }
            guard current > 0, request.headers["authorization"] == "Bearer t\(current)" else {
                let challenge = #"Bearer realm="http://\#(request.headers["host"] ?? "")/token",service="s""#
                return Answer(401, headers: [("WWW-Authenticate", challenge)], text: "{}")
            }
            var answer = Self.part(of: bytes, request)
            if answer.body.count > 150_000 {
                (answer.announcedBytes, answer.resetAfterBytes) = (answer.body.count, 150_000)
                // What was good is good no more.
                valid.withLock { $0 = -1 }
                cuts.withLock { $0 += 1 }
            }
            return answer
        }
        let app = try repository(server.host)
        #expect(try readAll(app.openBlob(descriptor(bytes))) == bytes)
        #expect(cuts.withLock { $0 } == 2)
        #expect(issued.withLock { $0 } == 3)
        // The way of the fetch engine: a refusal, then a request that is as good as new.
        valid.withLock { $0 = -1 }
        app.invalidate(Digest(hashing: bytes), afterStatus: 401)
        var (request, options) = try app.blobRequest(Digest(hashing: bytes))
        options.range = 0..<10
        #expect(try TestLoop.shared.get().perform(request, options).body == Array(bytes[..<10]))
        request.headers = []
    }

    @Test("storage elsewhere: no credentials go there, its address is kept and dropped when it is refused")
    func redirects() throws {
        let bytes = sample(300_000)
        let refuse = Lock(false)
        let storage = try ScriptedHTTPServer { request in
            refuse.withLock { $0 } && request.query("generation") == ["1"]
                ? Answer(403, text: "expired") : Self.part(of: bytes, request)
        }
        let generation = Lock(0)
        let (target, port) = ("localhost:\(storage.port)", storage.port)
        let registry = try ScriptedHTTPServer { request in
            if request.headers["authorization"] != "Basic YW5uOnB3" {
                return Answer(401, headers: [("WWW-Authenticate", #"Basic realm="x""#)])
            }
            let number = generation.withLock {
                $0 += 1; return $0
            }
            return Answer(
                307, headers: [("Location", "http://\(target)/blob?generation=\(number)&X-Amz-Expires=600")])
        }
        let credentials = try CredentialFixture(host: registry.host, user: "ann", password: "pw")
        var settings = RegistrySettings.forTests
        settings.credentialFiles = [credentials.path]
        let app = try repository(registry.host, "a", settings)
        let digest = Digest(hashing: bytes)
        #expect(try readAll(app.openBlob(descriptor(bytes))) == bytes)
        #expect(
            !storage.requests.isEmpty && storage.requests.allSatisfy { $0.headers["authorization"] == nil })
        let asked = registry.requests.count
        for _ in 0..<3 {
            let (request, options) = try app.blobRequest(digest)
            #expect(request.url.contains(":\(port)/"))
            #expect(!request.headers.contains { $0.name.lowercased() == "authorization" })
            #expect(try TestLoop.shared.get().perform(request, options).body == bytes)
        }
        #expect(registry.requests.count == asked)
        refuse.withLock { $0 = true }
        #expect(try readAll(app.openBlob(descriptor(bytes))) == bytes)
        #expect(registry.requests.count > asked)
    }

    @Test(
        "redirects that lead nowhere", arguments: ["loop", "file:///etc/passwd", "http://169.254.169.254/"])
    func badRedirects(target: String) throws {
        let server = try ScriptedHTTPServer { request in
            let location =
                target == "loop" ? "http://\(request.headers["host"] ?? "")\(request.target)" : target
            return Answer(302, headers: [("Location", location)])
        }
        #expect(throws: OCIError.self) { try repository(server.host).manifest(.tag("x")) }
        #expect(throws: OCIError.self) {
            try readAll(repository(server.host).openBlob(descriptor(sample(100))))
        }
        #expect(server.requests.count <= 60)
    }

    /// Settings in which `registry.example.test` has this mirror before this server.
    private func withMirror(
        _ mirror: String, _ server: String, _ body: (Repository) throws -> Void
    ) throws {
        let directory = try makeTestDirectory("mirrors")
        defer { try? Directories.removeTree(directory) }
        try Directories.create(directory + "/registry.example.test")
        let text = """
            server = "http://\(server)"
            [host."http://\(mirror)"]
            capabilities = ["pull", "resolve"]
            """
        try Directories.replaceFile(directory + "/registry.example.test/hosts.toml", with: Array(text.utf8))
        var settings = RegistrySettings.forTests
        settings.certsDirectory = directory
        try body(repository("registry.example.test", "team/app", settings))
    }

    @Test("a mirror that lies, is broken, has nothing or is away is passed by")
    func mirrors() throws {
        let real = try RegistryServer()
        let bytes = sample(20_000)
        let direct = try repository(real.host)
        try direct.upload(Digest(hashing: bytes), bytes: bytes)
        let (_, manifest) = try pushArtifact(direct)
        let digest = try direct.putManifest(manifest, mediaType: MediaType.ociManifest, as: "one")
        let other = sample(20_000, seed: 9)
        let handlers: [ScriptedHTTPServer.Handler] = [
            { _ in Answer(200, headers: [("Content-Type", MediaType.ociManifest)], body: other) },
            { _ in Answer(500) }, { _ in Answer(404) }, { _ in Answer(403) }, { _ in nil },
        ]
        for handler in handlers {
            let mirror = try ScriptedHTTPServer(handler)
            try withMirror(mirror.host, real.host) { (app: Repository) throws in
                #expect(try app.blob(Digest(hashing: bytes), sizeBytes: 20_000) == bytes)
                #expect(try app.manifest(.digest(digest)).bytes == manifest)
                let asked = mirror.requests
                #expect(asked.contains { $0.query("ns") == ["registry.example.test"] })
                // Writing passes by a mirror that cannot.
                try app.upload(Digest(hashing: [7]), bytes: [7])
                #expect(!mirror.requests.dropFirst(asked.count).contains { $0.method == "POST" })
            }
        }
        try withMirror("127.0.0.1:\(try freeLoopbackPort())", real.host) { (app: Repository) throws in
            #expect(try app.manifest(.tag("one")).digest == digest)
            #expect(try app.blob(Digest(hashing: bytes), sizeBytes: 20_000) == bytes)
        }
        let good = try RegistryServer()
        try withMirror(good.host, real.host) { (app: Repository) throws in
            #expect(throws: Never.self) { try app.manifest(.tag("one")) }
            #expect(try readAll(app.openBlob(descriptor(bytes))) == bytes)
        }
    }

    @Test("a referrers API that answers in pages, and one that is a page for people")
    func referrersPages() throws {
        let entries = (0..<5).map { number in
            Descriptor(
                mediaType: MediaType.ociManifest, of: [UInt8(number)],
                artifactType: number % 2 == 0 ? "application/even" : "application/odd")
        }
        let server = try ScriptedHTTPServer { request in
            let start = request.query("from").first.flatMap { Int($0) } ?? 0
            let page = Array(entries[start..<min(start + 2, entries.count)])
            guard let body = try? ManifestWriter.index(page) else { return nil }
            var headers = [(name: "Content-Type", value: MediaType.ociIndex)]
            if start + 2 < entries.count {
                headers.append(("Link", "<\(request.path)?from=\(start + 2)>; rel=\"next\""))
            }
            return Answer(200, headers: headers, body: body)
        }
        let subject = Digest(hashing: [9])
        let app = try repository(server.host)
        #expect(try app.referrers(of: subject, artifactType: "").count == 5)
        #expect(try app.referrers(of: subject, artifactType: "application/odd").count == 2)
        let page = try ScriptedHTTPServer { request in
            request.path.contains("referrers")
                ? Answer(200, headers: [("Content-Type", "text/html")], text: "<html>") : Answer(404)
        }
        #expect(try repository(page.host).referrers(of: subject, artifactType: "").isEmpty)
    }

    @Test("a registry with a referrers API needs no fallback list")
    func subjectIsNoted() throws {
        let server = try ScriptedHTTPServer { request in
            switch request.method {
            case "POST": Answer(202, headers: [("Location", "/v2/up")])
            case "PUT" where request.path == "/v2/up": Answer(201)
            case "PUT": Answer(201, headers: [("OCI-Subject", "x")])
            default: Answer(404)
            }
        }
        let app = try repository(server.host)
        let subject = descriptor([1])
        let (_, bytes) = try pushArtifact(app, subject: subject)
        try app.attach(bytes, subject: subject.digest)
        #expect(server.requests.filter { $0.path.contains("/manifests/") }.count == 1)
    }

    @Test(
        "an upload that is cut goes on from what has arrived; one that is too long for a proxy goes in chunks"
    )
    func uploads() throws {
        let bytes = sample(1_000_000)
        let stored = Lock<[UInt8]>([])
        let fault = Lock("cut")
        let server = try ScriptedHTTPServer { request in
            let last = { max(0, stored.withLock { $0.count } - 1) }
            let place = ("Location", "/v2/up")
            switch (request.method, request.path) {
            case ("HEAD", _): return Answer(404)
            case ("POST", _):
                stored.withLock { $0 = [] }
                return Answer(202, headers: [place])
            case ("PUT", _) where !request.body.isEmpty:
                switch fault.withLock({ $0 }) {
                case "cut":
                    stored.withLock { $0 = Array(request.body[..<300_000]) }
                    return nil
                default: return Answer(413)
                }
            case ("PATCH", _):
                if request.headers["content-range"]?.hasPrefix("\(stored.withLock { $0.count })-") != true {
                    return Answer(416, headers: [place, ("Range", "0-\(last())")])
                }
                stored.withLock { $0 += request.body }
                return Answer(202, headers: [place, ("Range", "0-\(last())")])
            case ("GET", _): return Answer(204, headers: [place, ("Range", "0-\(last())")])
            case ("PUT", _):
                return Answer(stored.withLock { $0 } == bytes ? 201 : 400)
            default: return Answer(202)
            }
        }
        for kind in ["cut", "too long"] {
            fault.withLock { $0 = kind }
            try repository(server.host).upload(Digest(hashing: bytes), bytes: bytes)
            #expect(stored.withLock { $0 } == bytes)
        }
        #expect(server.requests.contains { $0.headers["content-range"] == "300000-999999" })
    }

    @Test("an upload that cannot succeed is withdrawn")
    func withdrawn() throws {
        let server = try ScriptedHTTPServer { request in
            switch request.method {
            case "HEAD": Answer(404)
            case "POST": Answer(202, headers: [("Location", "/v2/up?state=1")])
            case "PUT":
                Answer(403, text: #"{"errors":[{"code":"DENIED","message":"quota exceeded"}]}"#)
            default: Answer(204)
            }
        }
        let words = failure { try repository(server.host).upload(Digest(hashing: [1]), bytes: [1]) }
        #expect(words.contains("DENIED: quota exceeded"), "\(words)")
        #expect(server.requests.last?.method == "DELETE")
        #expect(server.requests.contains { $0.target.hasPrefix("/v2/up?state=1&digest=sha256:") })
    }

    @Test("a stream that nobody reads holds little memory, and may be dropped")
    func bounded() throws {
        let bytes = sample(20 << 20)
        let server = try ScriptedHTTPServer { request in Self.part(of: bytes, request) }
        let stream = try repository(server.host).openBlob(descriptor(bytes))
        var piece = [UInt8](repeating: 0, count: 1000)
        let count = try piece.withUnsafeMutableBytes { try stream.read(into: $0) }
        #expect(count > 0)
        usleep(300_000)
        let transfer = Mirror(reflecting: stream).children.first { $0.label == "current" }?.value
        let waiting = (transfer as? BlobTransfer)?.waitingBytes ?? .max
        #expect(waiting <= (1 << 20) + (64 << 10))
    }
}
