// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A system of Debian 13 beside ours, from which programs come that ours does not have.
///
/// mmdebstrap makes it once; it stays in the cache directory. Its programs are started by their paths.
struct PeerSystem {
    static let tools = [(program: "mmdebstrap", package: "mmdebstrap"), (program: "runc", package: "runc")]
    private static let suite = "trixie"
    private static let mirror = "http://deb.debian.org/debian"

    private let directory: String
    private let packages: [String]

    /// - Parameter packages: what it has besides the smallest system.
    init(_ packages: [String]) throws(BenchError) {
        self.packages = packages
        let cache = try ImageCache().directory
        directory = "\(cache)/peers/\(Self.suite)-\(packages.joined(separator: "-"))"
    }

    /// Makes it unless it is there.
    func make(_ commands: Commands) throws {
        if Files.exists(directory) { return }
        Terminal.note("making a system of Debian \(Self.suite) with \(packages.joined(separator: ", "))")
        let unfinished = directory + ".unfinished"
        try commands.run(["rm", "-rf", "--one-file-system", unfinished], seconds: 300)
        try Files.makeDirectories(unfinished.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 })
        do {
            try commands.run(
                [
                    "mmdebstrap", "--variant=minbase", "--quiet",
                    "--include=" + packages.joined(separator: ","),
                    "--dpkgopt=path-exclude=/usr/share/doc/*", Self.suite, unfinished, Self.mirror,
                ], seconds: 1200)
        } catch {
            _ = try? commands.run(["rm", "-rf", "--one-file-system", unfinished], interruptible: false)
            throw error
        }
        try Files.rename(unfinished, to: directory)
    }

    /// The path of one of its programs.
    /// - Throws: when none of its packages has it.
    func program(_ name: String) throws(BenchError) -> String {
        let path = "\(directory)/usr/bin/\(name)"
        if Files.exists(path) { return path }
        throw .answer(
            "\(name): not in the packages \(packages.joined(separator: ", ")) of Debian \(Self.suite)")
    }

    /// Its containerd.
    var containerd: ContainerdPrograms {
        ContainerdPrograms(
            containerd: directory + "/usr/bin/containerd", ctr: directory + "/usr/bin/ctr",
            folder: directory + "/usr/bin")
    }
}
