// SPDX-License-Identifier: Apache-2.0

import Base
import Daemon
import FoundationEssentials
import Glibc
import Mounts

/// The OCI runtime as a child in the foreground: it shares terminal and standard streams with this process.
struct RuntimeProcess {
    let runtime: Runtime
    let container: ContainerInfo

    /// Signals that are passed on.
    ///
    /// The terminal's own keys reach the runtime without our help.
    private static let forwarded = [SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM]

    /// Runs the container to its end and gives its exit status.
    func run(passInput: Bool) throws(Failure) -> Int32 {
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in Self.forwarded + [SIGCHLD] { sigaddset(&signals, signal) }
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        let process: Int32
        do throws(SystemError) {
            process = try Subprocess.spawn(arguments, input: passInput ? 0 : nil, output: 1, errors: 2)
        } catch {
            throw Failure(
                .unavailable, "\(runtime.path): cannot be run (\(error.reason)); install runc or crun")
        }
        let status = wait(for: process, signals)
        // A runtime that was killed, or met a signal before it handled any, leaves its container behind.
        if Directories.exists("\(runtime.stateDirectory)/\(container.id)") {
            _ = try? Subprocess.run(runtime.delete(id: container.id, force: true))
        }
        return status == 0 ? 0 : explained(status)
    }

    private var logPath: String { container.bundle + "/runtime.log" }

    private var arguments: [String] {
        var words = runtime.run(id: container.id, bundle: container.bundle)
        words.insert(contentsOf: ["--log", logPath, "--log-format", "json"], at: 1)
        return words
    }

    private func wait(for process: Int32, _ signals: sigset_t) -> Int32 {
        var set = signals
        while true {
            var status: Int32 = 0
            if waitpid(process, &status, WNOHANG) == process {
                let signal = status & 0x7f
                return signal == 0 ? status >> 8 & 0xff : 128 + signal
            }
            var information = siginfo_t()
            let signal = sigwaitinfo(&set, &information)
            // What the kernel sends for a key of the terminal goes to the whole foreground group, runtime
            // included.
            let isKey = information.si_code == SI_KERNEL
            if signal > 0, signal != SIGCHLD, !isKey { kill(process, signal) }
        }
    }

    /// The status that shells use when a command is not found or cannot be run; runc and crun end with 1
    /// then, and have told why on standard error.
    private func explained(_ status: Int32) -> Int32 {
        guard status == 1, let file = try? File(open: logPath, O_RDONLY),
            let bytes = try? file.read(count: 1 << 16, at: 0)
        else { return status }
        for line in bytes.split(separator: UInt8(ascii: "\n")) {
            guard let entry = try? JSONDecoder().decode(LogEntry.self, from: Data(line)),
                entry.level == "error"
            else { continue }
            if entry.msg.contains("not found") || entry.msg.contains("no such file") { return 127 }
            if entry.msg.contains("permission denied") || entry.msg.contains("exec format") { return 126 }
        }
        return status
    }

    private struct LogEntry: Decodable {
        let level: String
        let msg: String
    }
}
