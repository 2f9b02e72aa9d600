// SPDX-License-Identifier: Apache-2.0

/// How an image is made from Debian's packages.
struct DebianImage: Sendable {
    enum Fidelity: String, CaseIterable, Sendable {
        /// The same software as in the image of that name.
        case same
        /// A smaller set of it, or an altered task.
        case close
        /// Other software of like shape.
        case standIn = "stand-in"
    }

    let fidelity: Fidelity
    /// From the lowest up, those of its bases first.
    let layers: [LayerRecipe]
    let configuration: ImageConfiguration
    /// What is done with this image.
    let task: ContainerTask
}

/// What one layer adds to those below it, as one line of a Dockerfile would.
enum LayerRecipe: Sendable, Equatable {
    /// Debian's smallest system that can install packages, of that suite.
    case system(suite: String)
    /// Packages with all that they depend on, but not what they recommend; then a command, as in one RUN line.
    case packages([String], suite: String, before: String?, after: String?)
    /// The contents of packages alone, without what they depend on and without their scripts.
    case unpacked([String], suite: String, after: String?)
    /// A command in a shell inside the system.
    case command(String)
    /// Files, with their modes, as COPY adds them.
    case files([PlacedFile])

    struct PlacedFile: Sendable, Equatable {
        let path: String
        let mode: Int
        let content: [UInt8]
    }
}

/// What an image's configuration says besides its layers.
struct ImageConfiguration: Sendable, Equatable {
    var entrypoint: [String] = []
    var command: [String] = []
    /// `NAME=value` each.
    var environment: [String] = []
    var user: String?
    var directory: String?
}
