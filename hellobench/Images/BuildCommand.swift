// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc

/// `hellobench build`.
struct BuildCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "build", abstract: "Makes the workloads' images and pushes them to a registry.",
        discussion: """
            Images are made from Debian's packages, layered as the images of those names are, and kept in \
            ~/.cache/slacker/images. A second call makes only what is missing.
            """)

    @OptionGroup var selection: WorkloadOptions

    @Option(
        help: "HOST:PORT of the registry to push to; one of our own, whose content stays, when not given.")
    var registry: String?

    @Option(help: "Take the images from a registry instead of making them, such as docker.io/library.")
    var from: String?

    @Option(help: "Where to keep images and what they are made of.")
    var cache: String?

    @Flag(help: "Make the images, but push them nowhere.")
    var noPush = false

    @Flag(help: "Make again what is there already.")
    var rebuild = false

    func validate() throws {
        if from != nil, noPush || rebuild {
            throw ValidationError("--from copies from registry to registry: no --no-push, no --rebuild")
        }
    }

    func run() throws {
        let workloads = try selectedWorkloads()
        if geteuid() != 0 { throw BenchError.notRoot }
        let tools =
            (from == nil ? ImageBuilder.tools : []) + (noPush ? [] : Publisher.tools)
            + (noPush || registry != nil ? [] : RegistryProcess.tools)
        let missing = tools.filter { Requirements.find($0.program) == nil }
        if !missing.isEmpty { throw BenchError.missingTools(missing) }
        let cleanup = Cleanup()
        defer { cleanup.run() }
        let build = try ImageBuild(
            cache: try ImageCache(cache), from: from,
            registry: noPush ? .none : registry.map { .given($0) } ?? .own,
            rebuilds: rebuild, cleanup)
        let failed = try build.run(workloads)
        if failed > 0 { throw BenchError.answer("\(failed) of \(workloads.count) images failed") }
    }

    /// Those that can be made here, unless one is asked for by name that cannot.
    private func selectedWorkloads() throws -> [Workload] {
        let selected = try selection.selected()
        if from != nil || selection.images != nil { return selected }
        let possible = selected.filter { $0.debian != nil }
        if possible.isEmpty {
            throw BenchError.answer("none of these can be made from Debian's packages; take them with --from")
        }
        return possible
    }
}
