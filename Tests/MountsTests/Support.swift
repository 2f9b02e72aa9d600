// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@testable import Mounts

/// A temporary directory from which everything is unmounted before it goes.
final class TestDirectory {
    let path: String

    init() throws {
        var template = Array("/var/tmp/slacker-mounts-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        path = String(cString: made)
    }

    deinit {
        let entries = (try? MountTable.current().entries(under: path)) ?? []
        for entry in entries { try? Ext4Mount.unmount(entry.directory, lazily: true) }
        try? Directories.removeTree(path)
    }

    func make(_ name: String) throws -> String {
        try Directories.create(path + "/" + name)
        return path + "/" + name
    }

    /// A 32 MiB file with an empty ext4 file system.
    func ext4Image(_ name: String = "image") throws -> String {
        let file = path + "/" + name
        try File(open: file, O_RDWR | O_CREAT).truncate(to: 32 << 20)
        try run(["mkfs.ext4", "-q", "-F", "-b", "4096", "-O", "^has_journal", file])
        return file
    }

    /// Loop devices over files in this directory.
    func loops() throws -> [LoopUse] { try LoopUse.list(under: path) }
}

/// Runs a command, at most a minute, and expects it to succeed.
@discardableResult
func run(_ arguments: [String]) throws -> String {
    let result = try Subprocess.run(["timeout", "-s", "KILL", "60"] + arguments)
    #expect(result.succeeded, "\(arguments): \(result.status) \(result.output) \(result.errors)")
    return result.output
}

func mountsError(_ body: () throws -> Void) -> MountsError? {
    do { try body() } catch { return error as? MountsError }
    return nil
}
