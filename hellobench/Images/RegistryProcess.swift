// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A docker-registry that runs as long as we do; what it holds stays.
final class RegistryProcess {
    static let tools = [(program: "docker-registry", package: "docker-registry")]

    /// `HOST:PORT`.
    let address: String
    private let process: ChildProcess

    /// Starts it and waits until it listens.
    ///
    /// - Parameters:
    ///   - address: where it shall listen; nil for a free port of the loopback interface.
    ///   - storage: the folder of what it holds.
    ///   - directory: for its settings and log.
    init(
        address: String? = nil, storage: String, directory: String, _ commands: Commands, _ cleanup: Cleanup
    ) throws {
        let address = try address ?? "127.0.0.1:\(Self.freePort())"
        let settings = directory + "/registry.yml"
        let log = directory + "/registry.log"
        try Files.makeDirectories(storage)
        try Files.write(Array(Self.settings(storage, address, logLevel: "info").utf8), to: settings)
        let process = try ChildProcess(["docker-registry", "serve", settings], outputPath: log)
        cleanup.add("stop docker-registry") { process.stop(graceSeconds: 5) }
        self.address = address
        self.process = process
        try commands.wait(for: "docker-registry", seconds: 30) {
            let text = Files.text(log) ?? ""
            if let status = process.poll() {
                let tail = text.split(separator: "\n").suffix(2).joined(separator: "; ")
                throw BenchError.commandFailed(command: "docker-registry", status: status, output: tail)
            }
            return text.contains("listening on")
        }
    }

    func stop() { process.stop(graceSeconds: 5) }

    /// A configuration of docker-registry.
    static func settings(_ storage: String, _ address: String, logLevel: String) -> String {
        """
        version: 0.1
        log: {level: \(logLevel), accesslog: {disabled: true}}
        storage:
          filesystem: {rootdirectory: "\(storage)", maxthreads: 100}
          delete: {enabled: true}
        http: {addr: "\(address)", relativeurls: true}

        """
    }

    /// A port of the loopback interface that nobody listens on now.
    static func freePort() throws(BenchError) -> UInt16 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        if descriptor < 0 { throw .last("socket", "127.0.0.1") }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = in_addr_t(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) < 0 ? -1 : getsockname(descriptor, $0, &length)
            }
        }
        if result < 0 { throw .last("bind", "127.0.0.1") }
        return UInt16(bigEndian: address.sin_port)
    }
}
