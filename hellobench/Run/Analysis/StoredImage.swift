// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// The layers of an image in the bench's registry, the lowest first.
struct StoredImage {
    struct Layer: Decodable {
        let digest: String
        let size: UInt64

        /// The digits alone.
        var hexadecimal: String { String(digest.drop { $0 != ":" }.dropFirst()) }
    }

    private struct Manifest: Decodable {
        let layers: [Layer]?
        let manifests: [Entry]?
    }

    private struct Entry: Decodable {
        struct Platform: Decodable {
            let architecture: String
            let os: String
        }
        let digest: String
        let platform: Platform?
    }

    let layers: [Layer]

    init(_ image: BenchImage, _ registry: BenchRegistry) throws {
        layers = try Self.layers(image.digest, image.name, registry, depth: 0)
    }

    private static func layers(
        _ digest: String, _ name: String, _ registry: BenchRegistry, depth: Int
    ) throws -> [Layer] {
        guard let content = registry.content(ofBlob: digest), depth < 3 else {
            throw BenchError.answer("\(name): its manifest is not in the registry")
        }
        let manifest = try JSONDecoder().decode(Manifest.self, from: Data(content))
        if let layers = manifest.layers { return layers }
        let ours = manifest.manifests?.first {
            $0.platform?.architecture == "amd64" && $0.platform?.os == "linux"
        }
        guard let ours else { throw BenchError.answer("\(name): no image for linux/amd64") }
        return try Self.layers(
            String(ours.digest.dropFirst("sha256:".count)), name, registry, depth: depth + 1)
    }
}
