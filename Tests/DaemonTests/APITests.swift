// SPDX-License-Identifier: Apache-2.0

import Distribution
import Testing

@testable import Daemon

@Suite("The control API's values")
struct APITests {
    private func roundTrip<T: Codable & Equatable>(_ value: T) throws {
        #expect(try JSON.decode(T.self, JSON.encode(value)) == value)
    }

    @Test("values survive JSON")
    func roundTrips() throws {
        try roundTrip(
            PullInfo(
                kind: "block", reference: "r", digest: "sha256:0", fetchedBytes: 1, chunks: 2,
                presentChunks: 1,
                published: nil, seconds: 0.5))
        try roundTrip(FillInfo(image: "a", state: .waiting, dataBytes: 2, localBytes: 1))
        try roundTrip(ProfileInfo(image: "a", touches: 1, touchedBytes: 4096, dataBytes: 8192))
        try roundTrip(
            ConfigurationInfo(
                process: 1,
                settings: [
                    SettingInfo(key: "a.b", value: .list(["x"]), origin: "default"),
                    SettingInfo(key: "a.c", value: .text("x"), origin: "default"),
                    SettingInfo(key: "a.d", value: .boolean(true), origin: "default"),
                    SettingInfo(key: "a.e", value: .seconds(0.5), origin: "default"),
                ]))
        try roundTrip(
            ContainerAnswer(container: nil, operation: OperationInfo(id: "o", state: .running, phase: "")))
    }

    @Test("requests may leave out what has a default only where the type says so")
    func requests() throws {
        let pull = try JSON.decode(
            PullRequest.self, #"{"reference": "r", "publish": false, "whole": true}"#.utf8)
        #expect(pull.whole && pull.name == nil)
        #expect(throws: Failure.self) {
            try JSON.decode(FillRequest.self, #"{"images": ["a"], "action": "x"}"#.utf8)
        }
    }

    @Test(
        "which texts name another place by themselves",
        arguments: [
            ("python:3.12", false), ("library/python", false), ("registry.example.test/a:1", true),
            ("localhost/a", true), ("host:5000/a", true), ("s3://bucket/a#b", true), ("dir:/a#b", true),
            ("https://host/a/#b", true), ("base", false), ("a/b/c", false),
        ])
    func remote(text: String, isRemote: Bool) {
        #expect(RemoteReference.isRemote(text) == isRemote)
    }

    @Test("an image that is pulled without a name is called by its reference")
    func names() throws {
        #expect(
            try RemoteReference(parsing: "registry.example.test/a").localName
                == "registry.example.test/a:latest")
        #expect(try RemoteReference(parsing: "dir:/place#app:1").localName == "app:1")
    }
}
