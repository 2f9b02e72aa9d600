// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import TestSupport
import Testing

@testable import Containerd

/// A daemon with directories of its own; both go with the scope that it was made for.
final class Lab: Sendable {
    @TaskLocal static var current: Lab?

    let directory: String
    private let process: Lock<ServerProcess>

    var root: String { directory + "/root" }
    var run: String { directory + "/run" }
    var socket: String { run + "/containerd.sock" }

    static let program: String = {
        let bundle = CommandLine.arguments.first { $0.contains(".build/") || $0.contains(".xctest") } ?? ""
        let beside = Directories.parent(of: bundle) + "/slacker"
        return access(beside, X_OK) == 0 ? beside : ".build/debug/slacker"
    }()

    init() throws {
        // Short: the address of a socket has 107 bytes.
        directory = "/var/tmp/slk-\(getpid())-\(String(UInt32.random(in: 0...UInt32.max), radix: 36))"
        try Directories.create(directory)
        process = Lock(try Self.start(directory))
        try waitUntilServing()
    }

    private static func start(_ directory: String) throws -> ServerProcess {
        try ServerProcess(
            [program, "--root", directory + "/root", "--run", directory + "/run", "daemon", "--foreground"],
            logPath: directory + "/log")
    }

    private func waitUntilServing() throws {
        for _ in 0..<1500 where access(socket, F_OK) != 0 { usleep(20_000) }
        if access(socket, F_OK) == 0 { return }
        let log = String(decoding: try File.small(directory + "/log"), as: UTF8.self)
        throw TestFailure("the daemon does not serve: \(log)")
    }

    /// Ends the daemon and starts it again.
    func restart(_ signal: Int32 = SIGTERM) throws {
        stop(signal)
        unlink(socket)
        let next = try Self.start(directory)
        process.withLock { $0 = next }
        try waitUntilServing()
    }

    private func stop(_ signal: Int32) {
        let process = process.withLock { $0 }
        kill(process.identifier, signal)
        for _ in 0..<1500 where process.isRunning { usleep(20_000) }
    }

    func end() {
        stop(SIGTERM)
        let mounts = "grep -o ' \(directory)/[^ ]*' /proc/self/mountinfo | sort -ru | xargs -r umount -l"
        _ = try? Subprocess.run(["sh", "-c", mounts])
        try? Directories.removeTree(directory)
    }
}

/// One daemon for all tests of a suite.
struct WithLab: SuiteTrait, TestScoping {
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        let lab = try Lab()
        defer { lab.end() }
        try await Lab.$current.withValue(lab) { try await function() }
    }
}

/// What `Stat` says of a snapshot.
struct SnapshotInfo: Equatable {
    let name: String
    let parent: String
    /// 1 a view, 2 active, 3 committed.
    let kind: Int64
    /// Seconds and nanoseconds since 1970.
    let created: [Int64]
    let updated: [Int64]
    let labels: [String: String]

    init(_ message: ProtoMessage) throws {
        name = try message.string(1)
        parent = try message.string(2)
        kind = message.integer(3)
        let (created, updated) = (try message.message(4), try message.message(5))
        self.created = [created.integer(1), created.integer(2)]
        self.updated = [updated.integer(1), updated.integer(2)]
        labels = try message.map(6)
    }
}

/// The calls as containerd makes them, with their messages out of the way.
struct Snapshots: Sendable {
    let client: RPCClient

    init(_ lab: Lab) throws {
        client = try RPCClient(path: lab.socket)
    }

    func call(_ method: String, _ fill: (inout ProtoWriter) -> Void) throws -> [ProtoMessage] {
        var request = ProtoWriter()
        request.string(1, "slacker")
        fill(&request)
        return try client.call(SnapshotsService.name + method, request.bytes).map {
            try ProtoMessage($0[...])
        }
    }

    /// The message of a call that makes a snapshot.
    static func making(
        _ key: String, _ parent: String, _ labels: [String: String]
    ) -> (inout ProtoWriter) -> Void {
        { request in
            request.string(2, key)
            request.string(3, parent)
            request.map(4, labels)
        }
    }

    /// The directory to work in.
    func prepare(_ key: String, on parent: String = "", labels: [String: String] = [:]) throws -> String {
        try directory(try call("Prepare", Self.making(key, parent, labels)), readOnly: false)
    }

    func view(_ key: String, of parent: String = "", labels: [String: String] = [:]) throws -> String {
        try directory(try call("View", Self.making(key, parent, labels)), readOnly: true)
    }

    func mounts(_ key: String, readOnly: Bool = false) throws -> String {
        try directory(try call("Mounts") { $0.string(2, key) }, readOnly: readOnly)
    }

    func commit(_ key: String, as name: String, labels: [String: String] = [:]) throws {
        _ = try call("Commit") { request in
            request.string(2, name)
            request.string(3, key)
            request.map(4, labels)
        }
    }

    func remove(_ key: String) throws {
        _ = try call("Remove") { $0.string(2, key) }
    }

    func stat(_ key: String) throws -> SnapshotInfo {
        let answer = try #require(try call("Stat") { $0.string(2, key) }.first)
        return try SnapshotInfo(try answer.message(1))
    }

    func update(_ key: String, labels: [String: String], paths: [String] = []) throws -> SnapshotInfo {
        let answers = try call("Update") { request in
            var info = ProtoWriter()
            info.string(1, key)
            info.map(6, labels)
            request.message(2, info)
            if paths.isEmpty { return }
            var mask = ProtoWriter()
            mask.strings(1, paths)
            request.message(3, mask)
        }
        return try SnapshotInfo(try #require(answers.first).message(1))
    }

    /// Names, in order.
    func list(_ filters: String...) throws -> [String] {
        try call("List") { $0.strings(2, filters) }.flatMap { try $0.messages(1).map { try $0.string(1) } }
    }

    func usage(_ key: String) throws -> (bytes: Int64, inodes: Int64) {
        let usage = try #require(try call("Usage") { $0.string(2, key) }.first)
        return (usage.integer(1), usage.integer(2))
    }

    /// Makes a committed snapshot of what a script does in it.
    func layer(
        _ name: String, on parent: String = "", _ script: String, labels: [String: String] = [:]
    ) throws {
        try shell(script, in: try prepare("extract-" + name, on: parent, labels: labels))
        try commit("extract-" + name, as: name, labels: labels)
    }

    private func directory(_ answers: [ProtoMessage], readOnly: Bool) throws -> String {
        let mounts = try #require(answers.first).messages(1)
        let mount = try #require(mounts.first)
        #expect(mounts.count == 1)
        #expect(try mount.string(1) == "bind" && mount.string(3).isEmpty)
        #expect(try mount.strings(4) == ["rbind", readOnly ? "ro" : "rw"])
        return try mount.string(2)
    }
}

/// Runs a script in a directory; it fails with the first command that does.
@discardableResult
func shell(
    _ script: String, in directory: String, sourceLocation: SourceLocation = #_sourceLocation
) throws -> String {
    let result = try Subprocess.run(["sh", "-ec", "cd \"$0\"; " + script, directory])
    #expect(result.succeeded, "\(script): \(result.errors)", sourceLocation: sourceLocation)
    return result.output
}

/// Expects a status of gRPC.
func expectStatus(
    _ code: RPCStatus.Code, sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
    do {
        try body()
        Issue.record("no error, but \(code) was expected", sourceLocation: sourceLocation)
    } catch let status as RPCStatus {
        #expect(status.code == code, "\(status.message)", sourceLocation: sourceLocation)
        #expect(!status.message.isEmpty, sourceLocation: sourceLocation)
    } catch {
        Issue.record("\(error)", sourceLocation: sourceLocation)
    }
}
