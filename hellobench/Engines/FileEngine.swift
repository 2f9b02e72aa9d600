// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Files in an ext4 that is mounted from a loop device: what a program in a container sees.
///
/// The page cache of that file system lies above the device, so what is read twice does not reach it.
final class FileEngine: BlockEngine {
    let name: String
    private let directory: String
    private let setting: Setting
    private var written = ""
    private var count = 0

    /// The file that is read, put there by the image.
    static let large = "data/large"

    /// - Parameters:
    ///   - file: holds the file system; a volume's file, or a copy of the image.
    ///   - directIO: of the loop device.
    init(_ name: String, file: String, directIO: Bool, _ setting: Setting) throws {
        self.name = name
        self.setting = setting
        directory = "\(setting.directory)/\(name.split(separator: " ").joined(separator: "-")).mount"
        let loop = try LoopDevice(file, directIO: directIO, setting.commands, setting.cleanup)
        let (directory, commands) = (directory, setting.commands)
        try Files.makeDirectory(directory)
        try commands.run(["mount", "-t", "ext4", loop.path, directory])
        setting.cleanup.add("unmount \(directory)") {
            try commands.run(["umount", directory], interruptible: false)
        }
        try commands.run(["dd", "if=\(directory)/\(Self.large)", "of=/dev/null", "bs=1M"], seconds: 600)
    }

    /// What an image's file holds, as a file of its own with the same holes.
    static func copy(_ source: String, to file: String, _ setting: Setting) throws(BenchError) {
        try setting.commands.run(
            ["dd", "if=\(source)", "of=\(file)", "bs=1M", "conv=sparse,fsync"], seconds: 900)
    }

    func device(for workload: BlockWorkload) throws -> Device {
        let bytes = Self.largeBytes(setting.sizeBytes)
        if !workload.writes {
            return Device(path: "\(directory)/\(Self.large)", offsetBytes: 0, sizeBytes: bytes)
        }
        count += 1
        written = "\(directory)/written-\(count)"
        return Device(path: written, offsetBytes: 0, sizeBytes: bytes)
    }

    func finish(_ workload: BlockWorkload) throws {
        if workload.writes { try setting.commands.run(["rm", written]) }
    }

    /// Bytes of the file that is read; as much is written.
    static func largeBytes(_ sizeBytes: UInt64) -> UInt64 { min(sizeBytes / 4, 256 << 20) & ~0xFFFFF }
}
