// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

/// A registry of the package docker-registry on a port of its own, with its files in the machine's directory.
final class TestRegistry {
    let host: String
    private let configuration: String
    private let port: UInt16
    private var process: Int32 = -1

    init(in directory: String) throws {
        port = UInt16.random(in: 20_000..<32_000)
        host = "127.0.0.1:\(port)"
        let files = directory + "/registry"
        try Directories.create(files)
        configuration = directory + "/registry.yml"
        let text = """
            version: 0.1
            log: {level: error, accesslog: {disabled: true}}
            storage: {filesystem: {rootdirectory: \(files)}, delete: {enabled: true}}
            http: {addr: "\(host)"}

            """
        try File(open: configuration, O_WRONLY | O_CREAT, mode: 0o644).write(Array(text.utf8), at: 0)
        try start()
    }

    deinit { stop() }

    func start() throws {
        let null = try File(open: "/dev/null", O_WRONLY)
        process = try Subprocess.spawn(
            ["docker-registry", "serve", configuration], output: null.fd, errors: null.fd)
        let answers = try eventually {
            try Subprocess.run(["curl", "-sf", "-o", "/dev/null", "http://\(host)/v2/"]).succeeded
        }
        try #require(answers, "docker-registry does not serve")
    }

    func stop() {
        guard process > 0 else { return }
        kill(process, SIGKILL)
        _ = try? Subprocess.wait(for: process, "docker-registry")
        process = -1
    }
}
