// SPDX-License-Identifier: Apache-2.0

/// The development cycle of engines that only run containers: buildah changes, commits and pushes.
final class BuildahTools: DevelopmentTools {
    let tools = [(program: "buildah", package: "buildah")]
    private let place: EnginePlace
    private let base: String
    private let image = "localhost/changed"

    init(_ place: EnginePlace) {
        self.place = place
        base = place.directory + "/buildah"
    }

    private func buildah(_ words: String...) -> [String] {
        ["buildah", "--root", base + "/root", "--runroot", base + "/run", "--storage-driver", "overlay"]
            + words
    }

    func change(_ reference: String, file: String, target: String) throws {
        try forget()
        let commands = place.commands
        try commands.run(
            buildah("from", "--quiet", "--tls-verify=false", "--name", "changed", reference), seconds: 900)
        try commands.run(buildah("copy", "--quiet", "changed", file, target))
    }

    /// As `docker commit` does: a new layer on the layers that are there.
    func commit() -> [[String]] { [buildah("commit", "--quiet", "changed", image)] }

    func push(to target: String) -> [[String]] {
        [buildah("push", "--quiet", "--tls-verify=false", image, "docker://" + target)]
    }

    func forget() throws { try Leftovers.remove(base, place.commands) }
}
