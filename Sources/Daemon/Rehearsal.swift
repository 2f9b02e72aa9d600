// SPDX-License-Identifier: Apache-2.0

import Base
import Distribution
import Mounts
import OCI

/// Goes once through what the first container's start needs of this program, and throws the outcome away.
///
/// The Swift runtime looks generic types and conformances up at their first use, which takes some milliseconds
/// for all those of a pull: better before anybody waits.
enum Rehearsal {
    static func run() {
        _ = try? RemoteReference(parsing: "localhost:5000/library/example:latest")
        let digest = Digest(words: (1, 2, 3, 4))
        let request = ContainerRequest(image: "example", clientProcess: 1)
        _ = try? JSON.decode(ContainerRequest.self, JSON.encode(request))
        let info = ContainerInfo(
            id: "example", image: "example", bundle: "/", rootDirectory: "/", volume: nil, timings: [])
        _ = try? JSON.decode(ContainerAnswer.self, JSON.encode(ContainerAnswer(container: info)))
        let bundle = BundleJob(
            directory: "/", root: "/", identifier: "example", configuration: "", options: .init())
        let job = MountJob(file: "/", directory: "/", readOnly: false)
        _ = try? JSON.encode(InternalRequest.prepare(mount: job, bundle: bundle))
        _ = try? JSON.decode(InternalAnswer.self, JSON.encode(InternalAnswer(timings: [])))
        let configuration = #"{"os":"linux","architecture":"amd64","config":{"Cmd":["sh"]},"rootfs":{}}"#
        _ = try? ImageConfiguration(parsing: Array(configuration.utf8), name: "example")
        let blob = """
            {"mediaType":"\(MediaType.ociConfiguration)","digest":"\(digest)","size":1,"data":"AA=="}
            """
        let manifest = """
            {"schemaVersion":2,"mediaType":"\(MediaType.ociManifest)","config":\(blob),"layers":[\(blob)],\
            "annotations":{"a":"b"}}
            """
        _ = try? ManifestDocument(
            parsing: Array(manifest.utf8), mediaType: MediaType.ociManifest, name: "example")
    }
}
