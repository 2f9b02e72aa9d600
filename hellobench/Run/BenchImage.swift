// SPDX-License-Identifier: Apache-2.0

/// An image in the bench's registry, and what is done with it.
struct BenchImage: Sendable {
    let name: String
    let category: String
    let task: ContainerTask
    /// Of the ordinary image's manifest, in hexadecimal digits.
    let digest: String

    var repository: String { "bench/" + name }

    /// What names artifacts that were made from this image with that version of a program.
    func artifactTag(_ kind: String, version: String) -> String {
        let name = version.map { $0.isLetter || $0.isNumber || $0 == "." || $0 == "-" ? $0 : "-" }
        return "\(kind)-\(String(name).prefix(60))-\(digest.prefix(12))"
    }
}
