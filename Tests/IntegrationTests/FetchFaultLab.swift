// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import TestSupport
import Testing

/// An image in the files of a registry, made once and only read from then on.
final class FaultOrigin: Sendable {
    static let shared = Result { try FaultOrigin() }

    /// The registry's files.
    let data: String
    /// What the image holds, as `sha256sum -c` takes it.
    let sums: String
    private let directory: String

    static let files = ["/data/noise", "/data/first", "/etc/motd", "/bin/busybox"]

    private init() throws {
        let machine = try Machine()
        let tree = machine.directory + "/tree-base"
        _ = try machine.makeRootTar(extraBytes: 6 << 20)
        try machine.host(
            "dd", "if=/dev/urandom", "of=\(tree)/data/first", "bs=4096", "count=512", "status=none")
        var sums = ""
        for file in Self.files {
            sums += try machine.host("sha256sum", tree + file).replacing(tree, with: "")
        }
        try machine.write(sums, tree + "/etc/sums")
        let tar = machine.directory + "/base.tar"
        try machine.host("tar", "-C", tree, "--numeric-owner", "--owner=0", "--group=0", "-cf", tar, ".")
        directory = try makeTestDirectory("origin")
        data = directory + "/data"
        self.sums = sums
        // No object lives to the end of the process to remove it.
        Self.removal.withLock { $0 = directory }
        atexit { FaultOrigin.removal.withLock { try? Directories.removeTree($0) } }
        let registry = try RegistryServer(data: data)
        try machine.succeed("import", "rootfs:" + tar, "base")
        try machine.succeed("push", "base", registry.host + "/team/base:1")
    }

    private static let removal = Lock("")
}

/// A real registry with the image, on a port that stays its own while it is stopped and started.
final class FaultRegistry {
    let port: UInt16
    private let directory: String
    private var process: ServerProcess?

    init() throws {
        let origin = try FaultOrigin.shared.get()
        directory = try makeTestDirectory("faults")
        port = try freeLoopbackPort()
        let text = """
            version: 0.1
            log: {level: error, accesslog: {disabled: true}}
            storage: {filesystem: {rootdirectory: "\(origin.data)"}}
            http: {addr: "127.0.0.1:\(port)"}

            """
        try Directories.replaceFile(directory + "/config.yml", with: Array(text.utf8))
        try start()
    }

    deinit {
        stop()
        try? Directories.removeTree(directory)
    }

    var host: String { "127.0.0.1:\(port)" }

    func start() throws {
        process = try ServerProcess(
            ["docker-registry", "serve", directory + "/config.yml"], logPath: directory + "/log")
        let answers = try eventually(seconds: 20) {
            try Subprocess.run(["curl", "-sf", "-m", "5", "-o", "/dev/null", "http://\(host)/v2/"]).succeeded
        }
        try #require(answers, "docker-registry does not serve")
    }

    func stop() {
        process?.stop()
        process = nil
    }
}

/// A registry, a proxy that does harm before it, and a machine that pulls through the proxy.
final class FaultLab {
    let registry: FaultRegistry
    let proxy: FaultProxy
    let machine: Machine
    let reference: String
    private let environment: [String]

    /// - Parameter environment: settings of the daemon, beside a fill that waits until it is asked for.
    init(_ environment: [String] = [], root: String? = nil, direct: Bool = false) throws {
        registry = try FaultRegistry()
        proxy = try FaultProxy(upstream: registry.port)
        machine = try Machine(root: root)
        reference = (direct ? registry.host : proxy.host) + "/team/base:1"
        self.environment = ["SLACKER_FILL_POLICY=never", "SLACKER_RUN_RECORD_SECONDS=0"] + environment
    }

    func slacker(_ arguments: String..., seconds: Int = 60) throws -> Subprocess.Result {
        try machine.slacker(arguments, environment: environment, seconds: seconds)
    }

    /// Pulls the image as `copy` and expects that it works.
    func pull(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let result = try slacker("pull", "--name", "copy", reference)
        #expect(result.status == 0 && result.errors == "", "\(result)", sourceLocation: sourceLocation)
    }

    /// A container that compares every file with what was pushed.
    func check(seconds: Int = 60) throws -> Subprocess.Result {
        try slacker("run", "--rm", "copy", "/bin/sha256sum", "-c", "-s", "/etc/sums", seconds: seconds)
    }

    /// Expects that a container sees what was pushed, now and when all is here.
    func expectWhole(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let cold = try check()
        #expect(cold.status == 0 && cold.errors == "", "\(cold)", sourceLocation: sourceLocation)
        try expectHealed(sourceLocation: sourceLocation)
    }

    /// Expects that without harm the image fills up and then needs nobody, and that nothing wrong was kept.
    func expectHealed(sourceLocation: SourceLocation = #_sourceLocation) throws {
        proxy.heal()
        let fill = try slacker("fill", "copy")
        #expect(fill.status == 0 && fill.errors == "", "\(fill)", sourceLocation: sourceLocation)
        registry.stop()
        let again = try check()
        #expect(again.status == 0 && again.errors == "", "\(again)", sourceLocation: sourceLocation)
        try expectClean(sourceLocation: sourceLocation)
    }

    /// Expects a daemon that answers, and that with it goes everything of it.
    func expectClean(sourceLocation: SourceLocation = #_sourceLocation) throws {
        let status = try machine.status()
        #expect(status.containers.isEmpty && status.mounts.isEmpty, sourceLocation: sourceLocation)
        machine.stopDaemon(SIGTERM)
        #expect(machine.daemon == nil, sourceLocation: sourceLocation)
        #expect(machine.loops.isEmpty, sourceLocation: sourceLocation)
        #expect(
            machine.mounts.allSatisfy { $0 == machine.root }, "\(machine.mounts)",
            sourceLocation: sourceLocation)
        let left = try Subprocess.run(["pgrep", "-f", "--", machine.run + " "])
        #expect(left.output == "", sourceLocation: sourceLocation)
    }

    /// What `slacker status` says about the sources, and what reads wait for.
    func fetching() throws -> FetchingAnswer {
        try machine.decode(StatusOfFetching.self, machine.succeed("status", "--json")).fetching
    }

    /// Requests for packs: what containers and fills cause after a pull.
    static let isPack = FaultProxy.isRange
}

struct StatusOfFetching: Decodable {
    let fetching: FetchingAnswer
}

struct FetchingAnswer: Decodable {
    struct Source: Decodable {
        let name: String
        let isDown: Bool
        let failures: UInt64
        let damagedChunks: UInt64
        let lastError: String?
    }
    struct Stalled: Decodable {
        let reasons: [String]
    }
    let sources: [Source]
    let stalled: [Stalled]
}
