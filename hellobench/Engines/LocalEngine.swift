// SPDX-License-Identifier: Apache-2.0

/// The bar: a loop device on a plain local file with the same content.
final class LocalEngine: BlockEngine {
    let name: String
    private let loop: LoopDevice

    /// - Parameter source: the file that is copied; every engine gets a copy of its own.
    init(directIO: Bool, copyOf source: String, _ setting: Setting) throws {
        name = directIO ? "local direct" : "local buffered"
        let file = "\(setting.directory)/\(directIO ? "direct" : "buffered").raw"
        try Self.copy(source, to: file, setting)
        loop = try LoopDevice(file, directIO: directIO, setting.commands, setting.cleanup)
        try setting.warm(loop.path)
    }

    func device(for workload: Workload) -> String { loop.path }

    /// Copies the measured part of a file, with every block written, holes as well.
    static func copy(_ source: String, to file: String, _ setting: Setting) throws(BenchError) {
        let count = setting.sizeBytes >> 20
        try setting.commands.run(
            ["dd", "if=\(source)", "of=\(file)", "bs=1M", "count=\(count)", "iflag=fullblock", "conv=fsync"],
            seconds: 900)
    }
}
