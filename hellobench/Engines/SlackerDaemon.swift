// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A daemon of `slacker` with directories of its own, driven as any user would.
final class SlackerDaemon {
    private let program: String
    private let root: String
    private let run: String
    private let process: ChildProcess
    private let client: UnixHTTPClient
    private let commands: Commands

    /// Starts the daemon and waits until it answers.
    init(_ program: String, directory: String, _ commands: Commands, _ cleanup: Cleanup) throws {
        self.program = program
        self.commands = commands
        root = directory + "/root"
        run = directory + "/run"
        try Files.makeDirectory(directory)
        let log = directory + "/daemon.log"
        let process = try ChildProcess(
            [program, "daemon", "--root", root, "--run", run, "--foreground"], outputPath: log)
        self.process = process
        let mount = run + "/fs"
        cleanup.add("stop the daemon in \(directory)") {
            process.stop(graceSeconds: 30)
            if Files.isMounted(mount) { try commands.run(["umount", "-l", mount], interruptible: false) }
        }
        let client = UnixHTTPClient(socketPath: run + "/slacker.sock")
        self.client = client
        try commands.wait(for: process.name, seconds: 60) {
            if let status = process.poll() {
                let tail = (Files.text(log) ?? "").split(separator: "\n").suffix(3).joined(separator: "; ")
                throw BenchError.commandFailed(command: process.name, status: status, output: tail)
            }
            return (try? client.send("GET", "/v1/status")) != nil
        }
    }

    var version: String {
        get throws {
            let text = try commands.run([program, "version"])
            return text.split(separator: "\n").first.map(String.init) ?? "unknown"
        }
    }

    func file(ofImage name: String) -> String { "\(run)/fs/snapshots/\(name)" }
    func file(ofVolume name: String) -> String { "\(run)/fs/volumes/\(name)" }

    /// Imports a tar file as an image; may take long.
    func importTar(_ path: String, as name: String) throws(BenchError) {
        try commands.run(
            [program, "--root", root, "--run", run, "import", "rootfs:" + path, name], seconds: 3600)
    }

    func clone(_ image: String, as volume: String) throws(BenchError) {
        try client.send("POST", "/v1/clones", json: #"{"image":"\#(image)","volume":"\#(volume)"}"#)
    }

    func snapshot(_ volume: String, as image: String) throws(BenchError) {
        try client.send("POST", "/v1/snapshots", json: #"{"volume":"\#(volume)","image":"\#(image)"}"#)
    }

    func remove(_ name: String) throws(BenchError) {
        try client.send("DELETE", "/v1/names/" + name)
    }

    /// Resident and proportional set size in KiB, from the kernel.
    func memoryKiB() throws(BenchError) -> (resident: UInt64, proportional: UInt64) {
        let path = "/proc/\(process.id)/smaps_rollup"
        guard let text = Files.text(path) else { throw .last("open", path) }
        return (Machine.number("Rss", in: text), Machine.number("Pss", in: text))
    }
}
