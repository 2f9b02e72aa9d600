// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What one would take without us: a qcow2 overlay, exported through FUSE by qemu-storage-daemon.
final class QemuEngine: BlockEngine {
    /// How the exported file is used.
    enum Access: String, CaseIterable {
        /// By a loop device that is set up as ours is.
        case direct = "loop direct"
        /// By a loop device as losetup makes it unless told otherwise, with the page cache in between.
        case buffered = "loop buffered"
        /// As the file that it is, without a loop device.
        case file = "file"

        var engine: String { "qemu " + rawValue }
    }

    let name: String
    private let access: Access
    private let setting: Setting
    private let base: String
    private var reading: Device?
    private var writing: Device?

    /// - Parameter base: the raw file below the overlays, see `makeBase`.
    init(_ access: Access, base: String, _ setting: Setting) throws {
        name = access.engine
        self.access = access
        self.setting = setting
        self.base = base
        let device = try export("read")
        reading = device
        try setting.warm(device)
    }

    /// The file that all overlays have below them; returns its path.
    static func makeBase(copyOf source: String, _ window: Window, _ setting: Setting) throws -> String {
        let base = setting.directory + "/base.raw"
        try LocalEngine.copy(source, window, to: base, setting)
        return base
    }

    /// Nothing is promised of writes: one of the ways is enough to compare with.
    func measures(_ workload: BlockWorkload) -> Bool { !workload.writes || access == .direct }

    /// Reads see an overlay that nobody wrote to; writes go to another one, which fills up.
    func device(for workload: BlockWorkload) throws -> Device {
        if let ready = workload.writes ? writing : reading { return ready }
        let device = try export(workload.writes ? "write" : "read")
        if workload.writes { writing = device } else { reading = device }
        return device
    }

    private func export(_ use: String) throws -> Device {
        let name = "\(access)-\(use)"
        let overlay = "\(setting.directory)/\(name).qcow2"
        let point = "\(setting.directory)/\(name).export"
        let commands = setting.commands
        try commands.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", base, "-F", "raw", overlay])
        try commands.run(["touch", point])
        let daemon = try ChildProcess(
            [
                "qemu-storage-daemon", "--blockdev", "driver=file,node-name=file,filename=\(overlay)",
                "--blockdev", "driver=qcow2,node-name=overlay,file=file",
                "--export", "type=fuse,id=export,node-name=overlay,mountpoint=\(point),writable=on",
            ], outputPath: "\(setting.directory)/\(name).log")
        setting.cleanup.add("qemu-storage-daemon") {
            daemon.stop(graceSeconds: 10)
            if Files.isMounted(point) { try commands.run(["umount", "-l", point], interruptible: false) }
        }
        try commands.wait(for: daemon.name, seconds: 30) {
            if let status = daemon.poll() {
                let text = Files.text("\(setting.directory)/\(name).log") ?? ""
                throw BenchError.commandFailed(command: "qemu-storage-daemon", status: status, output: text)
            }
            return Files.isMounted(point)
        }
        if access == .file { return Device(path: point, offsetBytes: 0) }
        let loop = try LoopDevice(point, directIO: access == .direct, commands, setting.cleanup)
        return Device(path: loop.path, offsetBytes: 0)
    }
}
