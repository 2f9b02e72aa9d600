// SPDX-License-Identifier: Apache-2.0

/// Where ordinary images come from before they are in the bench's registry.
enum ImageOrigin: Sendable {
    /// Made from Debian's packages, in folders of the OCI layout, by workload.
    case layouts([String: String])
    /// A registry and the path below which the images are, such as `docker.io/library`.
    case registry(String)

    var source: ImageSource {
        switch self {
        case .layouts: .built
        case .registry: .registry
        }
    }
}

/// Puts the images of a run into the bench's registry.
struct ImageSupply {
    let origin: ImageOrigin
    let registry: BenchRegistry
    let commands: Commands

    /// The image of a workload; uploaded unless the registry has just that one.
    func image(_ workload: Workload) throws -> BenchImage {
        guard let task = workload.task(for: origin.source) else {
            let reason = workload.whyNotDebian ?? "no recipe"
            throw BenchError.answer("\(workload.name): cannot be made of Debian's packages: \(reason)")
        }
        let repository = "bench/" + workload.name
        let wanted = try place(workload, in: repository)
        guard let digest = registry.digest(repository, tag: BenchRegistry.ordinaryTag) else {
            throw BenchError.answer("\(workload.name): the registry did not keep \(wanted)")
        }
        return BenchImage(
            name: workload.name, category: workload.category.rawValue, task: task, digest: digest)
    }

    private func place(_ workload: Workload, in repository: String) throws -> String {
        switch origin {
        case .layouts(let layouts):
            guard let layout = layouts[workload.name] else {
                throw BenchError.answer("\(workload.name): not built; run: hellobench build \(workload.name)")
            }
            let source = "oci:" + layout
            try uploadUnlessThere(source, repository)
            return source
        case .registry(let base):
            let source = "docker://\(base)/\(workload.image)"
            try uploadUnlessThere(source, repository)
            return source
        }
    }

    private func uploadUnlessThere(_ source: String, _ repository: String) throws {
        let words = ["skopeo", "inspect", "--format", "{{.Digest}}", source]
        let digest = try commands.run(words, seconds: 120).split(separator: "\n").first.map(String.init) ?? ""
        let there = registry.digest(repository, tag: BenchRegistry.ordinaryTag)
        if let there, digest.hasSuffix(there) { return }
        try registry.upload(source, to: repository)
    }
}
