// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon

struct ExportCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write an image or a volume as files that other tools read.",
        discussion: """
            TARGET is one of oci:DIR[:TAG] and oci-archive:FILE[:TAG], an ordinary image of one layer; \
            rootfs:FILE, a tar, packed where the name ends in .gz, .tgz or .zst; ext4:FILE, the file system \
            itself as a sparse file; and qcow2:FILE, that for QEMU. A volume is exported as it is now, also while \
            it is mounted. What is not here is fetched. The same image gives the same bytes.

            Example: slacker export python oci-archive:python.tar
            """)

    @OptionGroup var global: GlobalOptions

    @Option(help: "Of layers and tars: none, gzip or zstd. (default: gzip, or what the file's name says)")
    var compression: String?

    @Flag(help: "Print JSON.")
    var json = false

    @Argument(help: "The image or volume.")
    var name: String

    @Argument(help: "What as, and where to.")
    var target: String

    func run() throws {
        let client = try global.connect()
        let interrupt = Interrupt()
        var request = ExportRequest(name: name, target: RemotePlace.absolutePath(target))
        request.compression = compression
        let begun = try client.call("POST", "exports", request, as: OperationInfo.self)
        let ended = try OperationWatch(client, interrupt, name: "\(name): export").wait(begun)
        guard let export = ended.export else { return }
        if json { return try Output.json(export) }
        let sockets = export.skippedSockets > 0 ? ", \(export.skippedSockets) sockets left out" : ""
        Output.summary(
            "\(export.target): \(Size.text(export.writtenBytes))\(sockets), in \(Seconds.text(export.seconds))"
        )
    }
}
