// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Daemon
import HTTP

struct UmountCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "umount", abstract: "Take a mount away.",
        discussion: "Example: slacker umount /mnt")

    @OptionGroup var global: GlobalOptions

    @Argument(help: "The directory that was given to mount.")
    var directory: String

    func run() throws {
        let client = try global.connect()
        let path = percentEncoded(try Paths.mountPoint(directory))
        _ = try Patience.during("unmounting, which writes out what is not on the disk yet") {
            try client.call("DELETE", "mounts/\(path)", as: Done.self)
        }
    }
}
