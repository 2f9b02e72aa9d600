// SPDX-License-Identifier: Apache-2.0

import Base
import HTTP
import TestSupport
import Testing

@testable import OCI

@Suite("Servers of registries")
struct HostsTests {
    private func endpoints(_ text: String, of registry: String = "registry.example.test") throws -> [Endpoint]
    {
        let own = try #require(WebAddress("https://\(registry)/v2"))
        return try HostsFile(parsing: text, path: "/certs/h/hosts.toml").endpoints(
            of: registry, fallback: own)
    }

    @Test("mirrors in the order of the file, then the server")
    func order() throws {
        let text = """
            server = "https://registry.example.test"
            # [host."https://comment.example.test"]
            [host."https://zebra.example.test"]
              capabilities = ["pull", "resolve"]
              ca = "ca.pem"
              client = [["client.cert", "/keys/client.key"]]
            [host."http://aardvark.example.test:5000/base"]
              skip_verify = true
              [host."http://aardvark.example.test:5000/base".header]
                X-One = "1"
                x-two = ["a", "b"]
            [host."https://middle.example.test/proxy/v2"]
              capabilities = "pull"
            [host."https://odd.example.test/api"]
              override_path = true
            """
        let found = try endpoints(text)
        #expect(
            found.map { "\($0.root)" } == [
                "https://zebra.example.test/v2", "http://aardvark.example.test:5000/base/v2",
                "https://middle.example.test/proxy/v2", "https://odd.example.test/api",
                "https://registry.example.test/v2",
            ])
        #expect(found.map(\.isMirror) == [true, true, true, true, false])
        #expect(found[0].capabilities == [.pull, .resolve])
        #expect(found[0].tls.certificateAuthorities == ["/certs/h/ca.pem"])
        #expect(found[0].tls.clientCertificate == "/certs/h/client.cert")
        #expect(found[0].tls.clientKey == "/keys/client.key")
        #expect(found[1].tls.skipVerify && found[1].capabilities == .all)
        #expect(Set(found[1].headers.map { $0.name + $0.value }) == ["X-One1", "x-twoa", "x-twob"])
        #expect(found[2].capabilities == .pull)
        #expect(
            "\(found[0].address("/a/blobs/x"))"
                == "https://zebra.example.test/v2/a/blobs/x?ns=registry.example.test")
        #expect("\(found[4].address("/a/b?c=d"))" == "https://registry.example.test/v2/a/b?c=d")
    }

    @Test("without a server the registry itself comes last, once")
    func fallback() throws {
        #expect(try endpoints("").map { "\($0.root)" } == ["https://registry.example.test/v2"])
        let named = try endpoints("[host.\"https://registry.example.test\"]\nca=[\"/a\",\"/b\"]")
        #expect(named.map(\.isMirror) == [false])
        #expect(named[0].tls.certificateAuthorities == ["/a", "/b"])
        let served = try endpoints(
            "server = \"http://other.example.test\"\nskip_verify = true\nclient = \"pair.pem\"")
        #expect(served.map { "\($0.root)" } == ["http://other.example.test/v2"])
        #expect(served[0].tls.skipVerify && served[0].tls.clientCertificate == "/certs/h/pair.pem")
        #expect(!served[0].isMirror)
    }

    @Test(
        "what cannot be understood is named with file and line or key",
        arguments: [
            ("server = ", "line 1"), ("\n\nx = [", "line "), ("server = 1", "server"), ("host = 1", "host"),
            ("[host.\"https://a b\"]", "not the address"), ("[host.\"a\"]\ncapabilities = [\"fly\"]", "fly"),
            ("[host.\"a\"]\nca = 1", "ca"), ("[host.\"a\"]\nskip_verify = \"yes\"", "skip_verify"),
            ("[host.\"a\"]\nheader = 1", "header"),
            ("[host.\"a\"]\n[host.\"a\".header]\nx = \"a\\nb\"", "control"),
            ("[host]\na = 1", "table"),
        ])
    func malformed(text: String, word: String) throws {
        let error = #expect(throws: OCIError.self) { try endpoints(text) }
        let words = "\(try #require(error))"
        #expect(words.hasPrefix("/certs/h/hosts.toml: "), "\(words)")
        #expect(words.contains(word), "\(words)")
    }

    @Test("which directory and which scheme")
    func directories() throws {
        let directory = try makeTestDirectory("certs")
        defer { try? Directories.removeTree(directory) }
        func write(_ text: String, _ path: String) throws {
            try Directories.create(directory + "/" + Directories.parent(of: path))
            try Directories.replaceFile(directory + "/" + path, with: Array(text.utf8))
        }
        try write("server = \"https://one.example.test\"", "containerd/reg.example.test_5000_/hosts.toml")
        try write("", "docker/reg.example.test/ca.crt")
        try write("", "docker/reg.example.test/me.cert")
        try write("", "docker/reg.example.test/me.key")
        try write("", "docker/127.0.0.1:7000/ca.crt")
        try write("", "docker/bad.example.test/me.cert")
        var settings = RegistrySettings()
        settings.certsDirectory = directory + "/containerd"
        settings.dockerCertsDirectory = directory + "/docker"
        settings.plainHTTPHosts = ["plain.example.test"]
        let hosts = HostDirectory(settings)
        func root(_ registry: String) throws -> String? {
            try hosts.endpoints(registry).first.map { "\($0.root)" }
        }
        #expect(try root("reg.example.test:5000") == "https://one.example.test/v2")
        #expect(try root("docker.io") == "https://registry-1.docker.io/v2")
        #expect(try root("plain.example.test") == "http://plain.example.test/v2")
        #expect(try root("127.0.0.1:5000") == "http://127.0.0.1:5000/v2")
        #expect(try root("127.0.0.1:7000") == "https://127.0.0.1:7000/v2")
        #expect(try root("localhost:5000") == "http://localhost:5000/v2")
        let docker = try #require(try hosts.endpoints("reg.example.test").first)
        #expect(docker.tls.certificateAuthorities == [directory + "/docker/reg.example.test/ca.crt"])
        #expect(docker.tls.clientKey == directory + "/docker/reg.example.test/me.key")
        #expect(throws: OCIError.self) { try hosts.endpoints("bad.example.test") }
        try write(
            "capabilities = [\"pull\"]\nserver = \"https://default.example.test\"",
            "containerd/_default/hosts.toml")
        #expect(try root("new.example.test") == "https://default.example.test/v2")
    }
}
