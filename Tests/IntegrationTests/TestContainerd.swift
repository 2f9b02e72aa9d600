// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import TestSupport
import Testing

/// Debian's containerd with our proxy plugin, all of its files in the machine's directory.
///
/// Its shims, and so its containers, outlive it as they should: `end` takes them away too.
final class TestContainerd {
    private let machine: Machine
    private let directory: String
    private var process: ServerProcess?

    var socket: String { directory + "/c.sock" }

    /// - Parameter cri: the CRI plugin's part of the configuration; without it the plugin is off.
    init(_ machine: Machine, cri: String? = nil) throws {
        self.machine = machine
        directory = machine.directory + "/ctd"
        try Directories.create(directory)
        let disabled = cri == nil ? #"disabled_plugins = ["io.containerd.grpc.v1.cri"]"# : ""
        let text = """
            version = 2
            root = "\(directory)/root"
            state = "\(directory)/state"
            \(disabled)
            [grpc]
              address = "\(socket)"
            [ttrpc]
              address = "\(socket).ttrpc"
            [debug]
              level = "debug"
            [proxy_plugins.slacker]
              type = "snapshot"
              address = "\(machine.run)/containerd.sock"
            \(cri ?? "")

            """
        try machine.write(text, directory + "/config.toml")
        try start()
    }

    func start() throws {
        process = try ServerProcess(
            ["containerd", "--config", directory + "/config.toml"], logPath: directory + "/log")
        let serves = try eventually(seconds: 30) { try ctr("version").succeeded }
        try #require(serves, "containerd does not serve: \(log)")
    }

    func stop(_ signal: Int32 = SIGTERM) throws {
        guard let process else { return }
        kill(process.identifier, signal)
        #expect(eventually(seconds: 20) { !process.isRunning }, "containerd does not end")
        self.process = nil
    }

    /// Ends every container, and containerd after them.
    func end() {
        let script = """
            ctr() { timeout -k 2 20 /usr/bin/ctr --address "$0" "$@" 2>/dev/null; }
            for namespace in $(ctr namespaces list --quiet); do
                ctr -n "$namespace" tasks list --quiet | xargs -r -n 50 timeout 30 \
                    /usr/bin/ctr --address "$0" -n "$namespace" tasks delete --force
            done
            """
        _ = try? Subprocess.run(["timeout", "60", "sh", "-c", script, socket])
        try? stop()
        // A shim that nobody could reach.
        _ = try? Subprocess.run(["sh", "-c", #"pgrep -f -- "-address $0" | xargs -r kill -9"#, socket])
    }

    /// The end of what it logged.
    var log: String {
        let result = try? Subprocess.run(["tail", "-n", "20", directory + "/log"])
        return result?.output ?? ""
    }

    func ctr(
        namespace: String = "test", _ arguments: [String], seconds: Int = 60
    ) throws -> Subprocess.Result {
        try Subprocess.run(
            ["timeout", "-k", "5", "\(seconds)", "ctr", "--address", socket, "--namespace", namespace]
                + arguments)
    }

    func ctr(_ arguments: String...) throws -> Subprocess.Result { try ctr(arguments) }

    /// Expects success.
    @discardableResult
    func succeed(
        namespace: String = "test", _ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        try succeed(namespace: namespace, arguments, sourceLocation: sourceLocation)
    }

    @discardableResult
    func succeed(
        namespace: String = "test", _ arguments: [String], sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        let result = try ctr(namespace: namespace, arguments)
        #expect(result.status == 0, "\(arguments): \(result.errors)\n\(log)", sourceLocation: sourceLocation)
        return result.output
    }

    /// Runs a subcommand of `ctr snapshots` and expects success.
    @discardableResult
    func snapshots(
        namespace: String = "test", _ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        try succeed(
            namespace: namespace, ["snapshots", "--snapshotter", "slacker"] + arguments,
            sourceLocation: sourceLocation)
    }

    /// Keys of snapshots, as containerd has them.
    func keys(namespace: String = "test") throws -> [String] {
        try snapshots(namespace: namespace, "list").split(separator: "\n").dropFirst()
            .compactMap { $0.split(separator: " ").first.map(String.init) }
    }

    /// The key of the one snapshot of an image's layer on which no other is made.
    func topChain() throws -> String? {
        let rows = try snapshots("list").split(separator: "\n").dropFirst().map { $0.split(separator: " ") }
        let parents = Set(rows.compactMap { $0.count > 2 ? $0[1] : nil })
        return rows.compactMap(\.first).first { $0.hasPrefix("sha256:") && !parents.contains($0) }.map(
            String.init)
    }

    /// Where an active snapshot or a view is to be found.
    func directory(of key: String) throws -> String {
        let command = try snapshots("mounts", "/nowhere", key)
        return String(try #require(command.split(separator: " ").first { $0.hasPrefix(machine.run) }))
    }
}
