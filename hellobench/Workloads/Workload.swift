// SPDX-License-Identifier: Apache-2.0

/// One image of HelloBench and what is done with it until it says hello.
struct Workload: Sendable {
    enum Category: String, CaseIterable, Sendable {
        case distro, database, language, other
        case webFramework = "web-framework"
        case webServer = "web-server"
    }

    /// Also that of the repository, here and in the paper.
    let name: String
    /// Repository and tag as Docker Hub has them, such as `postgres:17`.
    let image: String
    let category: Category
    /// What is done with the image of that name from a public registry.
    let task: ContainerTask
    /// How the image is made from Debian's packages; nil when it cannot be.
    let debian: DebianImage?
    /// Why `debian` is nil.
    let whyNotDebian: String?
    let notes: [String]

    /// - Returns: nil when the image comes from Debian's packages but cannot be made of them.
    func task(for source: ImageSource) -> ContainerTask? {
        source == .built ? debian?.task : task
    }
}

/// Where the images of a run come from.
enum ImageSource: Sendable {
    /// Made here from Debian's packages.
    case built
    /// Taken from a registry under the names of Docker Hub.
    case registry
}

/// What a container is told to do, and when it is ready.
struct ContainerTask: Sendable, Equatable {
    enum Kind: String, CaseIterable, Sendable {
        /// `echo hello`, to its end.
        case echo
        /// A command, to its end.
        case command
        /// A script on the standard input, to its end.
        case stdin
        /// A server that writes a line when it is ready.
        case waitLine = "wait-line"
        /// A server that answers a request when it is ready.
        case waitURL = "wait-url"
    }

    var kind: Kind
    /// In place of the image's own command; empty: the image's own.
    var argv: [String]
    /// Written to the standard input, which is then closed; nil: the input is empty.
    var stdin: String?
    var mounts: [TaskMount]
    /// `NAME=value` each, besides the image's own.
    var environment: [String]
    var ready: Ready
    /// After which it counts as failed, from the start of the container.
    var timeLimitSeconds: Int
}

/// When a container has said hello.
enum Ready: Sendable, Equatable {
    /// When it has ended with that status, having written the text if there is one.
    case exit(status: Int, output: String?)
    /// When a line of its output or error output contains one of the texts for the n-th time, counted from 1.
    case line(anyOf: [String], occurrence: Int)
    /// When GET of the path at that port answers with a status below 400, and the text if there is one.
    case url(port: Int, path: String, body: String?)
}

/// A folder of small files that the container sees; each run gets a fresh copy, which it may write to.
struct TaskMount: Sendable, Equatable {
    struct File: Sendable, Equatable {
        let name: String
        let content: [UInt8]
    }

    /// The folder's path inside the container.
    let target: String
    let files: [File]

    /// Writes the files into a folder, which must be there.
    func write(to directory: String) throws(BenchError) {
        for file in files { try Files.write(file.content, to: directory + "/" + file.name) }
    }
}
