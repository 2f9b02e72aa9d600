// SPDX-License-Identifier: Apache-2.0

/// A loop device with 4 KiB sectors on a file, attached by losetup.
final class LoopDevice {
    let path: String
    private let commands: Commands
    private var isAttached = true

    init(_ file: String, directIO: Bool, _ commands: Commands, _ cleanup: Cleanup) throws(BenchError) {
        self.commands = commands
        let output = try commands.run([
            "losetup", "--find", "--show", "--sector-size", "4096", "--direct-io=\(directIO ? "on" : "off")",
            file,
        ])
        path = output.split(separator: "\n").first.map(String.init) ?? ""
        cleanup.add("detach \(path)") { try self.detach() }
        // Where the file cannot do direct I/O losetup goes on without it: that would measure another thing.
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        let direct = Files.text("/sys/block/\(name)/loop/dio")?.first == "1"
        if direct != directIO {
            throw .answer("\(path): direct I/O is \(direct ? "on" : "off") on \(file), but not as asked for")
        }
    }

    func detach() throws(BenchError) {
        if !isAttached { return }
        try commands.run(["losetup", "--detach", path], interruptible: false)
        isAttached = false
    }
}
