// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A daemon of an engine, with a log that explains its death.
final class EngineDaemon {
    private let name: String
    private let log: String
    private let process: ChildProcess

    /// Starts it and waits until it answers.
    init(
        _ name: String, _ arguments: [String], log: String, _ commands: Commands, seconds: Double = 60,
        until answers: () throws -> Bool
    ) throws {
        self.name = name
        self.log = log
        process = try ChildProcess(arguments, outputPath: log)
        do {
            try commands.wait(for: name, seconds: seconds) {
                try check()
                return try answers()
            }
        } catch {
            process.stop(graceSeconds: 2)
            throw error
        }
    }

    var id: Int32 { process.id }

    /// - Throws: its last words when it has ended.
    func check() throws(BenchError) {
        guard let status = process.poll() else { return }
        let tail = (Files.text(log) ?? "").split(separator: "\n").suffix(3).joined(separator: "; ")
        throw .commandFailed(command: name, status: status, output: tail)
    }

    func stop() { process.stop(graceSeconds: 15) }
}

/// What an engine leaves when it is ended in the middle of something.
enum Leftovers {
    /// Ends every process whose command line names the directory; it must be one that nobody else knows.
    static func kill(below directory: String) {
        for name in Files.names(in: "/proc") {
            guard let id = pid_t(name), id != getpid(),
                let words = Files.text("/proc/\(name)/cmdline"), words.contains(directory + "/")
            else { continue }
            Glibc.kill(id, SIGKILL)
        }
    }

    /// Ends every process in network namespaces that were made for containers.
    static func kill(inNetworks inodes: Set<UInt64>) {
        if inodes.isEmpty { return }
        for name in Files.names(in: "/proc") {
            var info = stat()
            guard let id = pid_t(name), stat("/proc/\(name)/ns/net", &info) == 0,
                inodes.contains(UInt64(info.st_ino))
            else { continue }
            Glibc.kill(id, SIGKILL)
        }
    }

    /// Unmounts whatever lies below the directory, the innermost first, and then removes it.
    static func remove(_ directory: String, _ commands: Commands) throws {
        for _ in 0..<3 {
            let points = mountPoints(below: directory)
            if points.isEmpty { break }
            for point in points.reversed() { _ = umount2(point, Int32(MNT_DETACH)) }
        }
        guard access(directory, F_OK) == 0 else { return }
        try commands.run(
            ["rm", "-rf", "--one-file-system", directory], seconds: 300, interruptible: false)
    }

    static func mountPoints(below directory: String) -> [String] {
        (Files.text("/proc/self/mounts") ?? "").split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard words.count > 1 else { return nil }
            let point = String(words[1]).replacing("\\040", with: " ")
            return point.hasPrefix(directory + "/") || point == directory ? point : nil
        }
    }
}
