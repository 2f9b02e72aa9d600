// SPDX-License-Identifier: Apache-2.0

/// The bar for first writes: a loop device on an empty sparse file, a new one for each measurement.
///
/// A clean clone takes disk space with every block that is written; so does this, while the full file of
/// `LocalEngine` has all of its space from the start.
final class FreshEngine: BlockEngine {
    let name: String
    private let directIO: Bool
    private let setting: Setting
    private let file: String
    private var loop: LoopDevice?

    init(directIO: Bool, _ setting: Setting) {
        name = directIO ? "fresh direct" : "fresh buffered"
        self.directIO = directIO
        self.setting = setting
        file = "\(setting.directory)/\(directIO ? "direct" : "buffered").sparse"
    }

    func measures(_ workload: BlockWorkload) -> Bool { workload.writes }

    func device(for workload: BlockWorkload) throws -> Device {
        try setting.commands.run(["truncate", "--size=\(setting.sizeBytes)", file])
        let loop = try LoopDevice(file, directIO: directIO, setting.commands, setting.cleanup)
        self.loop = loop
        return Device(path: loop.path, offsetBytes: 0)
    }

    func finish(_ workload: BlockWorkload) throws {
        try loop?.detach()
        loop = nil
        try setting.commands.run(["rm", file])
    }
}
