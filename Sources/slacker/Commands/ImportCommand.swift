// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Base
import Daemon
import Glibc

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make an image from a container image on this machine.",
        discussion: """
            SOURCE is one of oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME] and \
            rootfs:FILE.tar. Layers may be plain, gzip or zstd.
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "Where the image is.")
    var source: String

    @Argument(help: "Name of the new image.")
    var name: String

    @Option(help: "Which image of an index, such as linux/arm64. (default: this machine's)")
    var platform: String?

    /// Milliseconds that the daemon may hold an answer: often enough to look alive, and to notice Ctrl-C.
    private static let waitMs = 200

    func run() throws {
        let client = try global.connect()
        let interrupt = Interrupt()
        let request = ImportRequest(source: Self.absolute(source), name: name, platform: platform)
        var operation = try client.call("POST", "imports", request, as: OperationInfo.self)
        let id = operation.id
        var bar = ProgressBar()
        while operation.state == .running {
            if let signal = interrupt.received() {
                bar.clear()
                _ = try? client.call("DELETE", "operations/\(id)", as: Done.self)
                Output.error("\(name): import cancelled")
                throw ExitStatus(code: 128 + signal)
            }
            operation = try client.call(
                "GET", "operations/\(id)?wait_ms=\(Self.waitMs)", as: OperationInfo.self)
            bar.show(operation)
        }
        bar.clear()
        if let failure = operation.failure { throw failure }
    }

    /// The daemon has another working directory.
    private static func absolute(_ source: String) -> String {
        guard let colon = source.firstIndex(of: ":") else { return source }
        let path = source[source.index(after: colon)...]
        return path.isEmpty ? source : source[...colon] + Paths.absolute(String(path))
    }
}

/// Notices SIGINT and SIGTERM without ending the program at once.
struct Interrupt {
    private var signals = sigset_t()

    init() {
        sigemptyset(&signals)
        sigaddset(&signals, SIGINT)
        sigaddset(&signals, SIGTERM)
        pthread_sigmask(SIG_BLOCK, &signals, nil)
    }

    /// The signal that has come since, if any.
    func received() -> Int32? {
        var set = signals
        var now = timespec()
        let signal = sigtimedwait(&set, nil, &now)
        return signal > 0 ? signal : nil
    }
}
