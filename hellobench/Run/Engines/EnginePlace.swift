// SPDX-License-Identifier: Apache-2.0

/// What all engines of a run share.
struct EnginePlace {
    /// Where each makes its own directory.
    let directory: String
    let commands: Commands
    let cleanup: Cleanup
    /// `slacker` as named on the command line.
    let slacker: String?
    /// `HOST:PORT` of the registry, however long the line is.
    let registries: [String]

    /// A word of what a program says about itself, counted from 0; `unknown` when it says nothing.
    func version(_ arguments: [String], word: Int) -> String {
        let line = (try? commands.run(arguments))?.split(separator: "\n").first
        let words = line?.split(separator: " ") ?? []
        return words.count > word ? String(words[word]) : "unknown"
    }

    var runcVersion: String { version(["runc", "--version"], word: 2) }

    func make(_ engine: EngineName) throws -> any ContainerEngine {
        switch engine {
        case .slacker: try SlackerEngine(self)
        case .containerd(let snapshotter): ContainerdEngine(snapshotter: snapshotter, self)
        case .stargz: throw StargzEngine.absence
        case .soci: try SociEngine(self)
        case .podman: PodmanEngine(self)
        case .docker: DockerEngine(self)
        }
    }
}
