// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Base
import Daemon

struct FsckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fsck", abstract: "Check the state directory, and repair it.",
        discussion: """
            Catalog, block maps, chunks, deltas, reference counts and files that nothing refers to. Asks the daemon \
            where one runs, and works beside everything else then; otherwise it opens the directory itself. The exit \
            status is 1 when something is left that is not as it should be.

            Example: slacker fsck --repair
            """)

    @OptionGroup var global: GlobalOptions

    @Flag(help: "Mend what can be mended, and put aside what cannot.")
    var repair = false

    @Flag(help: "Read every chunk and check its digest.")
    var deep = false

    @Flag(help: "Print JSON.")
    var json = false

    func run() throws {
        try Requirements.check()
        let configuration = try global.configuration()
        let request = CheckRequest(repair: repair, deep: deep)
        let found = try ask(configuration, request) ?? checkHere(configuration, request)
        if json { try Output.json(found) } else { show(found) }
        if !found.isClean { throw ExitStatus(code: 1) }
    }

    /// What the daemon finds; nil when none runs.
    private func ask(_ configuration: Configuration, _ request: CheckRequest) throws -> CheckInfo? {
        let places = configuration.places
        let starter = DaemonStarter(places, file: nil)
        let client = ControlClient(places, expectedRoot: configuration.namesRoot ? places.root : nil) {
            () throws(Failure) in try starter.waitIfKept()
        }
        let interrupt = Interrupt()
        let operation: OperationInfo
        do throws(Failure) {
            operation = try client.call("POST", "checks", request, as: OperationInfo.self)
        } catch {
            interrupt.end()
            if error.code == .unavailable { return nil }
            throw error
        }
        return try OperationWatch(client, interrupt, name: "fsck:").wait(operation).check
    }

    private func checkHere(_ configuration: Configuration, _ request: CheckRequest) throws -> CheckInfo {
        let root = configuration.places.root
        guard Directories.isDirectory(root) else {
            throw Failure(.notFound, "\(root): no such directory; name the state directory with --root")
        }
        let bar = Lock(ProgressBar())
        defer { bar.withLock { $0.clear() } }
        return try StoppedStore.check(configuration.places, request) { phase, done, total in
            bar.withLock { $0.show(phase: phase, doneBytes: done, totalBytes: total) }
            return true
        }
    }

    private func show(_ found: CheckInfo) {
        for finding in found.findings {
            let text = "\(finding.subject): \(finding.problem)"
            Output.print("\(finding.outcome): \(Printable.text(text)): \(Printable.text(finding.remedy))")
        }
        let verified = deep ? ", \(Size.text(found.verifiedBytes)) read" : ""
        let open = found.findings.count { $0.outcome != "repaired" }
        let verdict =
            found.findings.isEmpty
            ? "nothing is wrong" : "\(found.findings.count) findings, \(open) of them not repaired"
        Output.print(
            "\(found.images) images, \(found.volumes) volumes, \(found.maps) block maps with "
                + "\(found.references) chunks\(verified): \(verdict)")
    }
}
