// SPDX-License-Identifier: Apache-2.0

import Base
import OCI
import Testing

@Suite struct ReferenceTests {
    private static let hex = String(repeating: "0123456789abcdef", count: 4)

    @Test func namesAreCompleted() throws {
        let table: [(String, String)] = [
            ("alpine", "docker.io/library/alpine:latest"),
            ("alpine:3", "docker.io/library/alpine:3"),
            ("user/app", "docker.io/user/app:latest"),
            ("docker.io/python:3.12", "docker.io/library/python:3.12"),
            ("index.docker.io/library/a", "docker.io/library/a:latest"),
            ("localhost/a", "localhost/a:latest"),
            ("localhost:5000/a/b-c__d.e:T_1", "localhost:5000/a/b-c__d.e:T_1"),
            ("host.example/a@sha256:" + Self.hex, "host.example/a@sha256:" + Self.hex),
            ("host.example/a:t@sha256:" + Self.hex, "host.example/a:t@sha256:" + Self.hex),
        ]
        for (text, expected) in table { #expect(try Reference(parsing: text).description == expected) }
    }

    @Test(arguments: [
        "", "/", "a/", "/a", "a//b", "A", "a:", "a:.t", "a:t t", "-a", "a-", "a..b", "a@", "a@sha256:00",
        "a\u{1B}b",
        "a@md5:0123", "../a", "localhost:5000/",
    ])
    func badNamesAreRefused(_ text: String) {
        #expect(throws: OCIError.self) { try Reference(parsing: text) }
    }

    @Test(arguments: [
        "", "sha256", "sha256:", "sha256:../../etc/passwd", "md5:0123", "sha512:00", "SHA256:" + hex,
        "sha256:" + hex.uppercased(), "sha256:" + hex + "0", " sha256:" + hex,
    ])
    func badDigestsAreRefused(_ text: String) {
        #expect(throws: OCIError.self) { try Digest(contentDigest: text) }
    }

    @Test func platforms() throws {
        #expect(try Platform(parsing: "linux/arm/v7").description == "linux/arm/v7")
        #expect(throws: OCIError.self) { try Platform(parsing: "linux") }
        #expect(throws: OCIError.self) { try Platform(parsing: "linux//v7") }
        let arm = Platform(os: "linux", architecture: "arm64", variant: "v8")
        #expect(Platform(os: "linux", architecture: "arm64").serves(arm))
        #expect(!Platform(os: "linux", architecture: "amd64").serves(arm))
        #expect(!Platform(os: "linux", architecture: "arm64", variant: "v9").serves(arm))
        #expect(Platform.host.os == "linux")
    }

    @Test func sources() throws {
        #expect(try ImageSource.parse("oci:dir:tag") == .layout(directory: "dir", tag: "tag"))
        #expect(try ImageSource.parse("oci:/tmp") == .layout(directory: "/tmp", tag: nil))
        #expect(
            try ImageSource.parse("docker-archive:a.tar:host/b:c")
                == .dockerArchive(path: "a.tar", tag: "host/b:c"))
        #expect(try ImageSource.parse("rootfs:a:b.tar") == .rootFileSystem(path: "a:b.tar"))
        for text in ["", "oci", "oci:", "docker://alpine", "oci::t", "oci-archive:a:", "oci:a\0b"] {
            #expect(throws: OCIError.self) { try ImageSource.parse(text) }
        }
    }
}
