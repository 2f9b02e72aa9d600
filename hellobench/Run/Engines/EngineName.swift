// SPDX-License-Identifier: Apache-2.0

/// An engine as `--engine` names it.
enum EngineName: Equatable, Sendable, CustomStringConvertible {
    case slacker, stargz, soci, podman, docker
    case containerd(snapshotter: String)

    static let all = "slacker, containerd, containerd:SNAPSHOTTER, stargz, soci, podman, docker"

    init(parsing text: String) throws(BenchError) {
        switch text {
        case "slacker": self = .slacker
        case "stargz": self = .stargz
        case "soci": self = .soci
        case "podman": self = .podman
        case "docker": self = .docker
        case "containerd": self = .containerd(snapshotter: "overlayfs")
        default:
            let snapshotter = text.dropFirst("containerd:".count)
            guard text.hasPrefix("containerd:"), !snapshotter.isEmpty,
                snapshotter.allSatisfy({ $0.isLetter || $0.isNumber || "-_.".contains($0) })
            else { throw .answer("--engine: '\(text)' is none of \(Self.all)") }
            self = .containerd(snapshotter: String(snapshotter))
        }
    }

    /// All of `--engine`, in order; a name that comes twice is an error, since nothing could tell its rows
    /// apart.
    static func list(_ words: [String]) throws(BenchError) -> [EngineName] {
        var names: [EngineName] = []
        for word in words.flatMap({ $0.split(separator: ",", omittingEmptySubsequences: false) }) {
            let name = try EngineName(parsing: String(word))
            if names.contains(name) { throw .answer("--engine: '\(name)' is named twice") }
            names.append(name)
        }
        if names.isEmpty { throw .answer("--engine: name at least one of \(all)") }
        return names
    }

    var description: String {
        switch self {
        case .slacker: "slacker"
        case .stargz: "stargz"
        case .soci: "soci"
        case .podman: "podman"
        case .docker: "docker"
        case .containerd("overlayfs"): "containerd"
        case .containerd(let snapshotter): "containerd:" + snapshotter
        }
    }
}
