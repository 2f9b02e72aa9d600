// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Testing

/// The parts of `--json` output that tests look at.
struct ImageAnswer: Decodable {
    let name: String
    let digest: String?
    let sizeBytes: UInt64
}

struct VolumeAnswer: Decodable {
    let name: String
    let image: String
    let sizeBytes: UInt64
    let inUse: String?
}

struct UsageAnswer: Decodable {
    struct Image: Decodable {
        let name: String
        let dataBytes: UInt64
        let uniqueBytes: UInt64
        let sharedBytes: UInt64
    }
    let images: [Image]
    let chunkBytes: UInt64
    let referencedBytes: UInt64
}

struct StatusAnswer: Decodable {
    struct Mount: Decodable {
        let name: String
        let directory: String
        let device: String
    }
    struct Container: Decodable {
        let id: String
    }
    let process: Int32
    let mounts: [Mount]
    let containers: [Container]
}

struct InspectAnswer: Decodable {
    struct Configuration: Decodable {
        let entrypoint: [String]
        let command: [String]
        let environment: [String]
        let user: String
        let workingDirectory: String
        let layers: [String]
    }
    let kind: String
    let digest: String?
    let configuration: Configuration
}

extension Machine {
    func decode<T: Decodable>(_ type: T.Type, _ text: String) throws -> T {
        try JSONDecoder().decode(type, from: Data(text.utf8))
    }

    func images() throws -> [ImageAnswer] { try decode([ImageAnswer].self, succeed("images", "--json")) }
    func volumes() throws -> [VolumeAnswer] { try decode([VolumeAnswer].self, succeed("volumes", "--json")) }
    func usage() throws -> UsageAnswer { try decode(UsageAnswer.self, succeed("df", "--json")) }
    func status() throws -> StatusAnswer { try decode(StatusAnswer.self, succeed("status", "--json")) }
}
