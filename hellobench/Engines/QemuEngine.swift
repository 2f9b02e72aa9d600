// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What one would take without us: a qcow2 overlay, exported through FUSE by qemu-storage-daemon.
final class QemuEngine: BlockEngine {
    let name = "qemu qcow2"
    private let setting: Setting
    private let base: String
    private var reading: Device?
    private var writing: Device?

    init(copyOf source: String, _ window: Window, _ setting: Setting) throws {
        self.setting = setting
        base = setting.directory + "/base.raw"
        try LocalEngine.copy(source, window, to: base, setting)
        let device = try export("read")
        reading = device
        try setting.warm(device)
    }

    /// Reads see an overlay that nobody wrote to; writes go to another one, which fills up.
    func device(for workload: BlockWorkload) throws -> Device {
        if let ready = workload.writes ? writing : reading { return ready }
        let device = try export(workload.writes ? "write" : "read")
        if workload.writes { writing = device } else { reading = device }
        return device
    }

    private func export(_ name: String) throws -> Device {
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
        return Device(
            path: try LoopDevice(point, directIO: true, commands, setting.cleanup).path, offsetBytes: 0)
    }
}
