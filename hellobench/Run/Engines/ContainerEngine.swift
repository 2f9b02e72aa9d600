// SPDX-License-Identifier: Apache-2.0

/// Something that brings images from a registry to running containers, driven through its command line.
///
/// An engine gives the commands; others start and time them, so that all are measured by the same hand. Its
/// stores and daemons are its own and lie below its directory, apart from any that the machine has.
protocol ContainerEngine: AnyObject {
    /// As on the command line.
    var name: String { get }

    /// Programs that it cannot do without, and the Debian packages that have them.
    var tools: [(program: String, package: String)] { get }

    /// Names and versions of what takes part.
    func versions() -> [String: String]

    /// Makes what is pulled out of the ordinary image, in whatever form is this engine's, and puts it into
    /// the registry; nothing of this is measured.
    func prepare(_ image: BenchImage, _ registry: BenchRegistry) throws

    /// The tag of what `prepare` made.
    func tag(of image: BenchImage) -> String

    /// Starts whatever must run before the first command, with empty stores.
    func begin() throws

    /// Ends all that runs and removes the stores.
    func end() throws

    func pull(_ reference: String) -> [String]

    /// Whether `run` can pull what is not here.
    var pullsByItself: Bool { get }

    /// - Precondition: the image was pulled whole.
    func push(_ reference: String, as target: String) -> [[String]]

    /// Fetches the whole of an image, so that it can be pushed.
    func fetchWhole(_ reference: String) -> [[String]]

    /// Fetches what an image that was pulled still lacks.
    func complete(_ reference: String) -> [[String]]

    /// A command that stays in the foreground until the container ends.
    ///
    /// - Parameter pulls: fetches the image by itself, where the engine can.
    func run(_ container: ContainerRun, pulls: Bool) -> [String]

    var network: ContainerNetwork { get }

    /// Kills a container without asking it.
    func kill(_ container: String) -> [String]

    /// Removes what a killed container may have left.
    func forget(_ container: String) -> [[String]]

    /// The processes that serve it, apart from those that are started for each command.
    var daemons: [Int32] { get }

    /// Where its images and containers lie.
    var storeDirectories: [String] { get }

    /// Makes an image of the named one and a changed file; nil when it has no way to do that.
    var development: (any DevelopmentTools)? { get }
}

extension ContainerEngine {
    var network: ContainerNetwork { .named }
    var pullsByItself: Bool { false }
    var development: (any DevelopmentTools)? { nil }
    func tag(of image: BenchImage) -> String { BenchRegistry.ordinaryTag }
    func prepare(_ image: BenchImage, _ registry: BenchRegistry) throws {}
    func forget(_ container: String) -> [[String]] { [] }
    func complete(_ reference: String) -> [[String]] { [] }
    func fetchWhole(_ reference: String) -> [[String]] { [pull(reference)] }
}

/// A container that is to be started.
struct ContainerRun {
    let name: String
    let reference: String
    let task: ContainerTask
    /// Folders of this machine and where the container sees them.
    let mounts: [(source: String, target: String)]
    let network: NetworkSpace
}

/// How a changed file becomes an image that can be pushed.
protocol DevelopmentTools: AnyObject {
    var tools: [(program: String, package: String)] { get }

    /// Has the image here, whole, and a file of it changed; not measured.
    func change(_ reference: String, file: String, target: String) throws

    /// Makes an image of the change: measured.
    func commit() -> [[String]]

    /// Sends it: measured.
    func push(to target: String) -> [[String]]

    /// Forgets the change.
    func forget() throws
}
