// SPDX-License-Identifier: Apache-2.0

/// The bar: a loop device on a plain local file with the same content.
final class LocalEngine: BlockEngine {
    let name: String
    private let device: Device

    /// - Parameter source: the file whose window is copied; every engine gets a copy of its own.
    init(directIO: Bool, copyOf source: String, _ window: Window, _ setting: Setting) throws {
        name = directIO ? "local direct" : "local buffered"
        let file = "\(setting.directory)/\(directIO ? "direct" : "buffered").raw"
        try Self.copy(source, window, to: file, setting)
        let loop = try LoopDevice(file, directIO: directIO, setting.commands, setting.cleanup)
        device = Device(path: loop.path, offsetBytes: 0)
        try setting.warm(device)
    }

    func device(for workload: BlockWorkload) -> Device { device }

    /// Copies the measured part of a file, with every block written, holes as well.
    static func copy(
        _ source: String, _ window: Window, to file: String, _ setting: Setting
    ) throws(BenchError) {
        try setting.commands.run(
            [
                "dd", "if=\(source)", "of=\(file)", "bs=1M", "iflag=fullblock", "conv=fsync",
                "skip=\(window.offsetBytes >> 20)", "count=\(window.sizeBytes >> 20)",
            ], seconds: 900)
    }
}
