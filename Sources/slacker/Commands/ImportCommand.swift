// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct ImportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Make an image from a container image on this machine.",
        discussion: """
            SOURCE is one of oci:DIR[:TAG], oci-archive:FILE[:TAG], docker-archive:FILE[:NAME] and \
            rootfs:FILE.tar. Layers may be plain, gzip or zstd.

            Example: slacker import oci:python python
            """)

    @OptionGroup var global: GlobalOptions

    @Argument(help: "Where the image is.")
    var source: String

    @Argument(help: "Name of the new image.")
    var name: String

    @Option(help: "Which image of an index, such as linux/arm64. (default: this machine's)")
    var platform: String?

    func run() throws {
        let client = try global.connect()
        let interrupt = Interrupt()
        let request = ImportRequest(source: RemotePlace.absolutePath(source), name: name, platform: platform)
        let operation = try client.call("POST", "imports", request, as: OperationInfo.self)
        _ = try OperationWatch(client, interrupt, name: "\(name): import").wait(operation)
    }
}
