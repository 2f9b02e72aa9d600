// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@testable import Containerd

/// Calls that make no sense get the codes that containerd's own snapshotters give, and leave nothing behind.
@Suite(WithLab(), .serialized) struct CodeTests {
    private func withSnapshots(_ body: (Snapshots) throws -> Void) throws {
        try body(try Snapshots(try #require(Lab.current)))
    }

    @Test func unknownKeysAreNotFound() throws {
        try withSnapshots { snapshots in
            expectStatus(.notFound) { _ = try snapshots.stat("none") }
            expectStatus(.notFound) { _ = try snapshots.mounts("none") }
            expectStatus(.notFound) { _ = try snapshots.usage("none") }
            expectStatus(.notFound) { try snapshots.remove("none") }
            expectStatus(.notFound) { try snapshots.commit("none", as: "other") }
            expectStatus(.notFound) { _ = try snapshots.prepare("child", on: "none") }
            expectStatus(.notFound) { _ = try snapshots.view("child", of: "none") }
            let left = try snapshots.list("name==none", "name==child", "name==other")
            #expect(left.isEmpty)
        }
    }

    @Test func whatExistsExists() throws {
        try withSnapshots { snapshots in
            try snapshots.layer("here", "echo 1 >a")
            _ = try snapshots.prepare("active", on: "here")
            expectStatus(.alreadyExists) { _ = try snapshots.prepare("active", on: "here") }
            expectStatus(.alreadyExists) { _ = try snapshots.view("active", of: "here") }
            expectStatus(.alreadyExists) { _ = try snapshots.prepare("here") }
            expectStatus(.alreadyExists) { try snapshots.commit("active", as: "here") }
            // Still usable, and committed once only.
            #expect(try !snapshots.mounts("active").isEmpty)
            try snapshots.commit("active", as: "here-2")
            expectStatus(.notFound) { try snapshots.commit("active", as: "here-3") }
            expectStatus(.alreadyExists) { try snapshots.commit("active", as: "here-2") }
        }
    }

    @Test func onlyCommittedSnapshotsAreParents() throws {
        try withSnapshots { snapshots in
            _ = try snapshots.prepare("parent")
            expectStatus(.invalidArgument) {
                _ = try snapshots.prepare("parent-1", on: "parent")
            }
            expectStatus(.invalidArgument) {
                _ = try snapshots.view("parent-1", of: "parent")
            }
            try snapshots.commit("parent", as: "parent-2")
            expectStatus(.failedPrecondition) { _ = try snapshots.mounts("parent-2") }
            expectStatus(.failedPrecondition) {
                try snapshots.commit("parent-2", as: "parent-3")
            }
            // A new try after a failure.
            _ = try snapshots.prepare("parent-1", on: "parent-2")
        }
    }

    @Test func strangeKeysAndLabels() throws {
        try withSnapshots { snapshots in
            expectStatus(.invalidArgument) { _ = try snapshots.prepare("") }
            let large = String(repeating: "x", count: 5000)
            expectStatus(.invalidArgument) {
                _ = try snapshots.prepare("large", labels: ["a": large])
            }
            expectStatus(.invalidArgument) { _ = try snapshots.prepare(large) }
            // Keys name no files.
            for key in ["../../../etc/passwd", "a b\n\u{1}", "k8s.io/7/sha256:ab", "%2F'\";--", "ключ"] {
                _ = try snapshots.prepare(key)
                #expect(try snapshots.stat(key).name == key)
                try snapshots.remove(key)
            }
        }
    }

    @Test func oneOfManyAtTheSameTimeWins() throws {
        try withSnapshots { snapshots in
            let numbers = (0..<8).map { _ in
                var request = ProtoWriter()
                Snapshots.making("race", "", [:])(&request)
                return snapshots.client.begin(SnapshotsService.name + "Prepare", request.bytes, [:])
            }
            let codes = numbers.map { number -> RPCStatus.Code? in
                do throws(RPCStatus) {
                    _ = try snapshots.client.wait(for: number)
                    return nil
                } catch {
                    return error.code
                }
            }
            #expect(codes.count { $0 == nil } == 1)
            #expect(codes.count { $0 == .alreadyExists } == 7)
            try snapshots.remove("race")
        }
    }

    @Test func aClientThatGoesLeavesNothing() throws {
        try withSnapshots { snapshots in
            for pause in [0, 1000, 3000, 10_000] as [UInt32] {
                var request = ProtoWriter()
                Snapshots.making("gone", "", [:])(&request)
                // The connection ends with its client.
                do {
                    let other = try RPCClient(path: try #require(Lab.current).socket)
                    _ = other.begin(SnapshotsService.name + "Prepare", request.bytes, [:])
                    usleep(pause)
                }
                usleep(100_000)
                // An answer that was on its way already makes the snapshot the client's.
                try? snapshots.remove("gone")
            }
            #expect(try snapshots.list("name==gone").isEmpty)
        }
    }

    @Test func whatIsNoCallIsRefused() throws {
        try withSnapshots { snapshots in
            expectStatus(.unimplemented) { _ = try snapshots.call("Explode") { _ in } }
            expectStatus(.unimplemented) { _ = try snapshots.client.call("/other.Service/Stat", []) }
            expectStatus(.invalidArgument) {
                _ = try snapshots.client.call(SnapshotsService.name + "Stat", [0x12, 0x20, 0x41])
            }
            expectStatus(.invalidArgument) {
                _ = try snapshots.client.call(SnapshotsService.name + "Stat", [0x12, 0x01, 0xFF])
            }
            // A message without end, and one that is larger than any may be.
            let socket = try #require(Lab.current).socket
            for bytes in [[UInt8]("GET / HTTP/1.1\r\n\r\n".utf8), [UInt8](repeating: 0xAA, count: 1 << 20)] {
                let other = try UnixSocket.make()
                let result = UnixSocket.withAddress(socket) { connect(other.raw, $0, $1) }
                #expect(result == 0)
                _ = send(other.raw, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            }
            #expect(try snapshots.list("name==none").isEmpty)
        }
    }
}

/// What was answered is there after the daemon has ended, however it ends.
@Suite(WithLab(), .serialized) struct RestartTests {
    @Test(arguments: [SIGTERM, SIGKILL]) func snapshotsOutliveTheDaemon(_ signal: Int32) throws {
        let lab = try #require(Lab.current)
        let name = "kept-\(signal)"
        var snapshots = try Snapshots(lab)
        try snapshots.layer(name, "echo 1 >a")
        let directory = try snapshots.prepare(name + "-active", on: name, labels: ["l": "v"])
        try shell("echo 2 >b; sync -f .", in: directory)
        _ = try snapshots.view(name + "-view", of: name)
        try lab.restart(signal)

        snapshots = try Snapshots(lab)
        #expect(try snapshots.stat(name + "-active").labels == ["l": "v"])
        #expect(try shell("cat a b", in: try snapshots.mounts(name + "-active")) == "1\n2\n")
        #expect(try shell("cat a; ls", in: try snapshots.mounts(name + "-view", readOnly: true)) == "1\na\n")
        try snapshots.commit(name + "-active", as: name + "-2")
        for key in [name + "-2", name + "-view", name] { try snapshots.remove(key) }
        #expect(try snapshots.list().isEmpty)
    }
}
