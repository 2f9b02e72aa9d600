// SPDX-License-Identifier: Apache-2.0

/// Our mount: a loop device with direct I/O on the file of a volume.
final class VolumeEngine: BlockEngine {
    enum State {
        /// Nothing was ever written to the clone; each measurement of writes gets a new one.
        case clean
        /// A quarter of the 4 KiB blocks, spread at random, was written before.
        case delta
    }

    let name: String
    private let state: State
    private let daemon: SlackerDaemon
    private let setting: Setting
    private let image: String
    private let offsetBytes: UInt64
    private let readDevice: LoopDevice
    /// For writes: the one volume with a delta, or the latest clean clone.
    private var writeDevice: LoopDevice?
    private var writeVolume = ""
    private var clones = 0

    init(
        _ state: State, image: String, _ window: Window, _ daemon: SlackerDaemon, _ setting: Setting
    ) throws {
        self.state = state
        self.image = image
        self.daemon = daemon
        self.setting = setting
        offsetBytes = window.offsetBytes
        name = state == .clean ? "slacker clean" : "slacker delta"
        let volume = state == .clean ? "clean" : "delta"
        readDevice = try Self.attach(volume, image, daemon, setting)
        if state == .delta { try dirty(readDevice) }
        try setting.warm(device(readDevice))
    }

    private func device(_ loop: LoopDevice) -> Device { Device(path: loop.path, offsetBytes: offsetBytes) }

    func device(for workload: BlockWorkload) throws -> Device {
        if !workload.writes { return device(readDevice) }
        if state == .delta, let loop = writeDevice { return device(loop) }
        clones += 1
        writeVolume = "\(state == .clean ? "fresh" : "written")-\(clones)"
        let loop = try Self.attach(writeVolume, image, daemon, setting)
        writeDevice = loop
        if state == .delta { try dirty(loop) }
        return device(loop)
    }

    func finish(_ workload: BlockWorkload) throws {
        guard workload.writes, state == .clean, let loop = writeDevice else { return }
        try loop.detach()
        writeDevice = nil
        try daemon.remove(writeVolume)
    }

    private static func attach(
        _ volume: String, _ image: String, _ daemon: SlackerDaemon, _ setting: Setting
    ) throws -> LoopDevice {
        try daemon.clone(image, as: volume)
        return try LoopDevice(
            daemon.file(ofVolume: volume), directIO: true, setting.commands, setting.cleanup)
    }

    private func dirty(_ loop: LoopDevice) throws {
        let bytes = setting.sizeBytes / 4
        try setting.commands.run(
            [
                "fio", "--name=dirty", "--filename=\(loop.path)", "--rw=randwrite", "--bs=4k", "--direct=1",
                "--ioengine=libaio", "--iodepth=16", "--offset=\(offsetBytes)", "--size=\(setting.sizeBytes)",
                "--io_size=\(bytes)",
                "--end_fsync=1", "--randseed=1", "--invalidate=0",
            ], seconds: 900)
    }
}
