// SPDX-License-Identifier: Apache-2.0

import Glibc

/// The scene of a benchmark of containers: a directory, a link, a registry behind it.
struct BenchStage {
    static let tools =
        BenchLink.tools + BenchRegistry.tools
        + [(program: "du", package: "coreutils"), (program: "rm", package: "coreutils")]

    let commands: Commands
    let cleanup: Cleanup
    let registry: BenchRegistry
    let place: EnginePlace

    init(_ options: BenchOptions, needs tools: [(program: String, package: String)]) throws {
        if geteuid() != 0 { throw BenchError.notRoot }
        try Requirements.check(tools)
        let shape = try options.shape
        let directory = try Files.makeTemporaryDirectory(in: options.directory)
        let commands = Commands(directory: directory)
        let cleanup = Cleanup()
        cleanup.add("remove \(directory)") {
            Leftovers.kill(below: directory)
            try Leftovers.remove(directory, commands)
        }
        do {
            let link = try BenchLink(directory: directory, commands, cleanup)
            registry = try BenchRegistry(
                link, storage: options.storage, directory: directory, commands, cleanup)
            place = EnginePlace(
                directory: directory, commands: commands, cleanup: cleanup, slacker: options.slacker,
                registries: [
                    try registry.host(nil), try registry.host(shape), try registry.host(shape, isOther: true),
                ])
        } catch {
            cleanup.run()
            throw error
        }
        self.commands = commands
        self.cleanup = cleanup
    }
}
