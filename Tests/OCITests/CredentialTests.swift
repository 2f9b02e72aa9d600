// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import TestSupport
import Testing

@testable import OCI

@Suite("Credentials", .timeLimit(.minutes(1)))
struct CredentialTests {
    private func findings(
        _ text: String, _ host: String, _ repository: String = ""
    ) throws -> [CredentialFile.Finding] {
        try CredentialFile(parsing: Array(text.utf8), path: "/f").findings(host: host, repository: repository)
    }

    private func user(_ text: String, _ host: String, _ repository: String = "") throws -> String? {
        for case .credential(let credential) in try findings(text, host, repository) {
            return credential.username + "/" + credential.secret
        }
        return nil
    }

    @Test("the entry of the longest prefix, and older forms of names")
    func prefixes() throws {
        // "u:p" and so on in base64.
        let text = """
            {"auths":{
             "registry.example.test":{"auth":"aDpw"},
             "registry.example.test/team":{"auth":"dDpw"},
             "registry.example.test/team/app":{"auth":"YTpw"},
             "https://old.example.test:5000/v1/":{"auth":"bzpw"},
             "https://index.docker.io/v1/":{"auth":"ZDpwOndpdGg6Y29sb25z"},
             "words.example.test":{"username":"w","password":"x"},
             "empty.example.test":{}
            }, "HttpHeaders": {"x": "y"}}
            """
        #expect(try user(text, "registry.example.test", "other") == "h/p")
        #expect(try user(text, "registry.example.test", "team/tool") == "t/p")
        #expect(try user(text, "registry.example.test", "team/app") == "a/p")
        #expect(try user(text, "registry.example.test", "teams") == "h/p")
        #expect(try user(text, "old.example.test:5000") == "o/p")
        #expect(try user(text, "old.example.test") == nil)
        for hub in ["docker.io", "registry-1.docker.io", "index.docker.io"] {
            #expect(try user(text, hub, "library/debian") == "d/p:with:colons")
        }
        #expect(try user(text, "words.example.test") == "w/x")
        #expect(try user(text, "empty.example.test") == nil)
    }

    @Test("tokens in files")
    func tokens() throws {
        let text = """
            {"auths":{"i.test":{"auth":"dTpw","identitytoken":"refresh"},"r.test":{"registrytoken":"bearer"}}}
            """
        guard case .credential(let identity)? = try findings(text, "i.test").first,
            case .credential(let registry)? = try findings(text, "r.test").first
        else {
            Issue.record("nothing found")
            return
        }
        #expect(identity.kind == .identityToken && identity.secret == "refresh")
        #expect(registry.kind == .registryToken && registry.secret == "bearer")
        #expect(!"\(identity)\(registry)".contains("refresh"))
    }

    @Test("helpers for one registry before the store for all")
    func helpers() throws {
        let text = """
            {"auths":{"a.test":{}},"credHelpers":{"a.test":"one","docker.io":"hub"},"credsStore":"all"}
            """
        #expect(
            try findings(text, "a.test") == [
                .helper("one", server: "a.test"), .helper("all", server: "a.test"),
            ])
        #expect(try findings(text, "b.test") == [.helper("all", server: "b.test")])
        #expect(
            try findings(text, "registry-1.docker.io").first
                == .helper("hub", server: "https://index.docker.io/v1/"))
    }

    @Test(
        "files that cannot be understood name the file and not the secret",
        arguments: ["{", "[]", #"{"auths":{"h":{"auth":"!!"}}}"#, #"{"auths":{"h":{"auth":"c2VjcmV0"}}}"#])
    func malformed(text: String) throws {
        let error = #expect(throws: OCIError.self) { try findings(text, "h") }
        let words = "\(try #require(error))"
        #expect(words.contains("/f"))
        #expect(!words.contains("c2VjcmV0") && !words.contains("secret"))
    }

    @Test("the usual places, most specific first")
    func places() {
        let all = [
            "REGISTRY_AUTH_FILE": "/auth", "XDG_RUNTIME_DIR": "/run/user/1", "HOME": "/home/a",
            "DOCKER_CONFIG": "/docker",
        ]
        #expect(
            CredentialStore.usualFiles { all[$0] } == [
                "/auth", "/run/user/1/containers/auth.json", "/home/a/.config/containers/auth.json",
                "/docker/config.json",
            ])
        #expect(CredentialStore.usualFiles { $0 == "HOME" ? "/h" : nil }.last == "/h/.docker/config.json")
        #expect(CredentialStore.usualFiles { _ in nil }.first == "/run/containers/\(getuid())/auth.json")
    }

    /// A helper with this body, named by a credential file; runs the test with what is found for a server.
    private func withHelper(
        _ script: String, seconds: Double = 20, _ body: (CredentialStore.Search) throws -> Void
    ) throws {
        let directory = try makeTestDirectory("helper")
        defer { try? Directories.removeTree(directory) }
        let name = "slacker-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
        // PATH is the process's own, so the program lies where it is searched anyway.
        let program = "/usr/local/bin/docker-credential-" + name
        try Directories.replaceFile(program, with: Array(("#!/bin/sh\n" + script).utf8), mode: 0o755)
        defer { unlink(program) }
        let file = directory + "/config.json"
        try Directories.replaceFile(file, with: Array(#"{"credsStore":"\#(name)"}"#.utf8))
        var settings = RegistrySettings()
        settings.credentialFiles = [directory + "/absent.json", file]
        settings.helperTimeoutSeconds = seconds
        try body(CredentialStore(settings).find("registry.example.test", "a"))
    }

    @Test("a helper is asked by its standard input")
    func helperAnswers() throws {
        let script = """
            [ "$1" = get ] || exit 9
            read -r server
            printf '{"ServerURL":"%s","Username":"me","Secret":"for %s"}' "$server" "$server"
            """
        try withHelper(script) { search in
            #expect(search.credential?.username == "me")
            #expect(search.credential?.secret == "for registry.example.test")
            #expect(search.credential?.origin.contains("docker-credential-slacker-test") == true)
            #expect(search.problems.isEmpty)
        }
        try withHelper(#"echo '{"Username":"<token>","Secret":"t"}'"#) { search in
            #expect(search.credential?.kind == .identityToken)
        }
    }

    @Test("a helper that knows nothing, fails, prints rubbish or hangs leaves us without credentials")
    func helperFails() throws {
        try withHelper("echo 'credentials not found in native keychain'; exit 1") { search in
            #expect(search.credential == nil && search.problems.isEmpty)
        }
        try withHelper("echo 'the keychain is locked' >&2; exit 3") { search in
            #expect(search.problems.first?.contains("the keychain is locked") == true)
        }
        try withHelper("echo rubbish") { search in #expect(search.problems.count == 1) }
        let begin = MonotonicTime.now
        try withHelper("sleep 60 & sleep 60", seconds: 0.5) { search in
            #expect(search.credential == nil)
            #expect(search.problems.first?.contains("0.5 s") == true)
        }
        #expect(MonotonicTime.now.seconds(since: begin) < 20)
    }

    @Test("a helper that is not there, and one whose name is a path")
    func helperIsMissing() throws {
        for name in ["slacker-test-absent", "../../bin/sh"] {
            let helper = CredentialHelper(name: name, namedBy: "/f", timeoutSeconds: 5)
            let error = #expect(throws: OCIError.self) { try helper.get("h") }
            #expect(error?.description.hasPrefix("/f: ") == true)
        }
    }
}
