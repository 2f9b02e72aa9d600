// SPDX-License-Identifier: Apache-2.0

import Base
import GRPCCore
import Glibc
import Testing

@testable import Containerd

/// Calls that make no sense get the codes that containerd's own snapshotters give, and leave nothing behind.
@Suite(WithLab(), .serialized) struct CodeTests {
    private func withSnapshots(_ body: (Snapshots) async throws -> Void) async throws {
        try await body(try Snapshots(try #require(Lab.current)))
    }

    @Test func unknownKeysAreNotFound() async throws {
        try await withSnapshots { snapshots in
            await expectStatus(.notFound) { _ = try await snapshots.stat("none") }
            await expectStatus(.notFound) { _ = try await snapshots.mounts("none") }
            await expectStatus(.notFound) { _ = try await snapshots.usage("none") }
            await expectStatus(.notFound) { try await snapshots.remove("none") }
            await expectStatus(.notFound) { try await snapshots.commit("none", as: "other") }
            await expectStatus(.notFound) { _ = try await snapshots.prepare("child", on: "none") }
            await expectStatus(.notFound) { _ = try await snapshots.view("child", of: "none") }
            let left = try await snapshots.list("name==none", "name==child", "name==other")
            #expect(left.isEmpty)
        }
    }

    @Test func whatExistsExists() async throws {
        try await withSnapshots { snapshots in
            try await snapshots.layer("here", "echo 1 >a")
            _ = try await snapshots.prepare("active", on: "here")
            await expectStatus(.alreadyExists) { _ = try await snapshots.prepare("active", on: "here") }
            await expectStatus(.alreadyExists) { _ = try await snapshots.view("active", of: "here") }
            await expectStatus(.alreadyExists) { _ = try await snapshots.prepare("here") }
            await expectStatus(.alreadyExists) { try await snapshots.commit("active", as: "here") }
            // Still usable, and committed once only.
            #expect(try await snapshots.mounts("active").hasPrefix("/"))
            try await snapshots.commit("active", as: "here-2")
            await expectStatus(.notFound) { try await snapshots.commit("active", as: "here-3") }
            await expectStatus(.alreadyExists) { try await snapshots.commit("active", as: "here-2") }
        }
    }

    @Test func onlyCommittedSnapshotsAreParents() async throws {
        try await withSnapshots { snapshots in
            _ = try await snapshots.prepare("parent")
            await expectStatus(.invalidArgument) {
                _ = try await snapshots.prepare("parent-1", on: "parent")
            }
            await expectStatus(.invalidArgument) {
                _ = try await snapshots.view("parent-1", of: "parent")
            }
            try await snapshots.commit("parent", as: "parent-2")
            await expectStatus(.failedPrecondition) { _ = try await snapshots.mounts("parent-2") }
            await expectStatus(.failedPrecondition) {
                try await snapshots.commit("parent-2", as: "parent-3")
            }
            // A new try after a failure.
            _ = try await snapshots.prepare("parent-1", on: "parent-2")
        }
    }

    @Test func strangeKeysAndLabels() async throws {
        try await withSnapshots { snapshots in
            await expectStatus(.invalidArgument) { _ = try await snapshots.prepare("") }
            let large = String(repeating: "x", count: 5000)
            await expectStatus(.invalidArgument) {
                _ = try await snapshots.prepare("large", labels: ["a": large])
            }
            await expectStatus(.invalidArgument) { _ = try await snapshots.prepare(large) }
            // Keys name no files.
            for key in ["../../../etc/passwd", "a b\n\u{1}", "k8s.io/7/sha256:ab", "%2F'\";--", "ключ"] {
                _ = try await snapshots.prepare(key)
                #expect(try await snapshots.stat(key).name == key)
                try await snapshots.remove(key)
            }
        }
    }

    @Test func oneOfManyAtTheSameTimeWins() async throws {
        try await withSnapshots { snapshots in
            let codes = await withTaskGroup(of: RPCError.Code?.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        do { _ = try await snapshots.prepare("race") } catch {
                            return (error as? RPCError)?.code ?? .internalError
                        }
                        return nil
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(codes.count { $0 == nil } == 1)
            #expect(codes.count { $0 == .alreadyExists } == 7)
            try await snapshots.remove("race")
        }
    }

    /// Cancels the call while it is under way.
    @Test func aClientThatGoesLeavesNothing() async throws {
        try await withSnapshots { snapshots in
            for pauseMs in [0, 1, 3, 10, 30] {
                let other = try Snapshots(try #require(Lab.current))
                let call = Task { try? await other.prepare("gone") }
                try await Task.sleep(for: .milliseconds(pauseMs))
                call.cancel()
                let answer = await call.value
                try await Task.sleep(for: .milliseconds(150))
                let left = try await snapshots.list("name==gone")
                // One whose answer was on its way already is whole, and containerd's collection finds it.
                #expect(answer == nil || left == ["gone"])
                if left.isEmpty { continue }
                #expect(try await snapshots.mounts("gone").hasPrefix("/"))
                try await snapshots.remove("gone")
            }
        }
    }

    @Test func whatIsNoCallIsRefused() async throws {
        try await withSnapshots { snapshots in
            let service = SnapshotsAPI.Service.descriptor.fullyQualifiedService
            await expectStatus(.unimplemented) { _ = try await snapshots.call(service + "/Explode", []) }
            await expectStatus(.unimplemented) { _ = try await snapshots.call("other.Service/Stat", []) }
            // A field that is longer than the message, and a text that is none.
            for bytes in [[0x12, 0x20, 0x41], [0x12, 0x01, 0xFF]] as [[UInt8]] {
                await expectStatus(.invalidArgument) {
                    _ = try await snapshots.call(service + "/Stat", bytes)
                }
            }
            // Broken off before all of it has come.
            let large = [UInt8](repeating: 0x0A, count: 2 << 20)
            await #expect(throws: RPCError.self) { _ = try await snapshots.call(service + "/Stat", large) }
            for bytes in [[UInt8]("GET / HTTP/1.1\r\n\r\n".utf8), [UInt8](repeating: 0xAA, count: 1 << 20)] {
                let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
                try #require(raw >= 0)
                let other = OwnedFD(taking: raw)
                let result = ListeningSocket.withAddress(try #require(Lab.current).socket) {
                    connect(other.raw, $0, $1)
                }
                #expect(result == 0)
                _ = send(other.raw, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            }
            #expect(try await snapshots.list("name==none").isEmpty)
        }
    }
}

/// What was answered is there after the death of the daemon.
@Suite(WithLab(), .serialized) struct RestartTests {
    @Test func snapshotsOutliveTheDaemon() async throws {
        let lab = try #require(Lab.current)
        let name = "kept"
        var snapshots = try Snapshots(lab)
        try await snapshots.layer(name, "echo 1 >a")
        let directory = try await snapshots.prepare(name + "-active", on: name, labels: ["l": "v"])
        try shell("echo 2 >b; sync -f .", in: directory)
        _ = try await snapshots.view(name + "-view", of: name)
        try lab.killDaemon()

        snapshots = try Snapshots(lab)
        #expect(try await snapshots.stat(name + "-active").labels == ["l": "v"])
        #expect(try shell("cat a b", in: try await snapshots.mounts(name + "-active")) == "1\n2\n")
        #expect(
            try shell("cat a; ls", in: try await snapshots.mounts(name + "-view", readOnly: true)) == "1\na\n"
        )
        try await snapshots.commit(name + "-active", as: name + "-2")
        for key in [name + "-2", name + "-view", name] { try await snapshots.remove(key) }
        #expect(try await snapshots.list().isEmpty)
    }
}
