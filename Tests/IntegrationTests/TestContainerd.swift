// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// Debian's containerd with our proxy plugin, all of its files in the machine's directory.
final class TestContainerd {
    private let machine: Machine
    private let directory: String
    private var process: Int32 = -1

    private var socket: String { directory + "/c.sock" }

    init(_ machine: Machine) throws {
        self.machine = machine
        directory = machine.directory + "/ctd"
        try Directories.create(directory)
        let text = """
            version = 2
            root = "\(directory)/root"
            state = "\(directory)/state"
            disabled_plugins = ["io.containerd.grpc.v1.cri"]
            [grpc]
              address = "\(socket)"
            [debug]
              level = "debug"
            [proxy_plugins.slacker]
              type = "snapshot"
              address = "\(machine.run)/containerd.sock"

            """
        try machine.write(text, directory + "/config.toml")
        try start()
    }

    deinit { stop() }

    func start() throws {
        let log = try File(open: directory + "/log", O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)
        process = try Subprocess.spawn(
            ["containerd", "--config", directory + "/config.toml"], output: log.fd, errors: log.fd)
        let serves = try eventually(seconds: 30) { try ctr("version").succeeded }
        try #require(serves, "containerd does not serve: \(log)")
    }

    func stop() {
        guard process > 0 else { return }
        kill(process, SIGTERM)
        _ = try? Subprocess.wait(for: process, "containerd")
        process = -1
    }

    /// The end of what it logged.
    var log: String {
        let text = (try? File.small(directory + "/log")).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return text.split(separator: "\n").suffix(20).joined(separator: "\n")
    }

    func ctr(namespace: String = "test", _ arguments: [String]) throws -> Subprocess.Result {
        try Subprocess.run(
            ["timeout", "-k", "5", "60", "ctr", "--address", socket, "--namespace", namespace] + arguments)
    }

    func ctr(_ arguments: String...) throws -> Subprocess.Result { try ctr(arguments) }

    /// Expects success.
    @discardableResult
    func succeed(
        namespace: String = "test", _ arguments: String..., sourceLocation: SourceLocation = #_sourceLocation
    ) throws -> String {
        let result = try ctr(namespace: namespace, arguments)
        #expect(result.status == 0, "\(arguments): \(result.errors)\n\(log)", sourceLocation: sourceLocation)
        return result.output
    }

    /// Keys of snapshots, as containerd has them.
    func snapshots() throws -> [String] {
        try succeed("snapshots", "--snapshotter", "slacker", "list").split(separator: "\n").dropFirst()
            .compactMap { $0.split(separator: " ").first.map(String.init) }
    }
}
