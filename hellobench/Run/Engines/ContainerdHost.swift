// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A containerd of one's own, with empty stores, and the client that speaks to it.
final class ContainerdHost {
    /// A snapshotter that is a program of its own.
    struct Proxy {
        let name: String
        let socket: String
    }

    /// Where all its files are.
    let directory: String
    private let programs: ContainerdPrograms
    private let proxy: Proxy?
    private let place: EnginePlace
    private(set) var daemon: EngineDaemon?

    init(_ directory: String, _ programs: ContainerdPrograms, proxy: Proxy? = nil, _ place: EnginePlace) {
        self.directory = directory
        self.programs = programs
        self.proxy = proxy
        self.place = place
    }

    var version: String { place.version([programs.containerd, "--version"], word: 2) }

    /// Starts it; the directory must be there.
    func begin() throws {
        try Files.write(Array(configuration.utf8), to: directory + "/config.toml")
        let shims = directory + "/shims"
        try programs.linkShims(to: shims)
        let commands = place.commands
        daemon = try EngineDaemon(
            "containerd",
            programs.inPath(shims) + [programs.containerd, "--config", directory + "/config.toml"],
            log: directory + "/containerd.log", commands
        ) { (try? commands.run(client("version"), seconds: 10)) != nil }
    }

    func end() {
        daemon?.stop()
        daemon = nil
    }

    /// A command of its client.
    func client(_ words: String...) -> [String] { [programs.ctr, "-a", directory + "/sock"] + words }

    var socket: String { directory + "/sock" }

    var store: String { directory + "/root" }

    /// - Throws: when there is no such snapshotter or it cannot be used.
    func check(snapshotter: String, engine: String) throws {
        let plugins = try place.commands.run(client("plugins", "list"))
        let line = plugins.split(separator: "\n").map { $0.split(separator: " ").map(String.init) }.first {
            $0.count > 2 && $0[0] == "io.containerd.snapshotter.v1" && $0[1] == snapshotter
        }
        guard let line else {
            throw BenchError.answer("--engine \(engine): containerd has no snapshotter '\(snapshotter)'")
        }
        if line.last != "ok" {
            throw BenchError.answer(
                "--engine \(engine): snapshotter '\(snapshotter)' cannot be used: \(line.last ?? "")")
        }
    }

    private var configuration: String {
        let plugin = proxy.map {
            "[proxy_plugins.\($0.name)]\ntype = \"snapshot\"\naddress = \"\($0.socket)\"\n"
        }
        return """
            version = 2
            root = "\(directory)/root"
            state = "\(directory)/state"
            disabled_plugins = ["io.containerd.grpc.v1.cri"]
            [grpc]
            address = "\(directory)/sock"
            \(plugin ?? "")

            """
    }
}

/// Which containerd is meant.
struct ContainerdPrograms {
    var containerd = "containerd"
    var ctr = "ctr"
    /// Where its shims are; nil for PATH.
    var folder: String?

    private static let shim = "containerd-shim-runc-v2"

    /// Makes a folder of its shims alone: beside them may be a runc that only runs on a newer system.
    fileprivate func linkShims(to directory: String) throws(BenchError) {
        guard let folder else { return }
        try Files.makeDirectory(directory)
        let link = "\(directory)/\(Self.shim)"
        if symlink("\(folder)/\(Self.shim)", link) < 0, errno != EEXIST { throw .last("symlink", link) }
    }

    /// What comes before a program so that it finds its shims there.
    fileprivate func inPath(_ directory: String) -> [String] {
        guard folder != nil else { return [] }
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
        return ["env", "PATH=\(directory):\(path)"]
    }
}
