// SPDX-License-Identifier: Apache-2.0

/// Something that offers an image as a block device.
protocol BlockEngine: AnyObject {
    /// As it stands in tables and JSON.
    var name: String { get }
    /// Whether it takes part in the workload.
    func measures(_ workload: BlockWorkload) -> Bool
    /// The device to measure a workload on; its data has been read once.
    func device(for workload: BlockWorkload) throws -> Device
    /// The measurement on the device is over.
    func finish(_ workload: BlockWorkload) throws
}

extension BlockEngine {
    func measures(_ workload: BlockWorkload) -> Bool { true }
    func finish(_ workload: BlockWorkload) throws {}
}

/// What the engines share.
struct Setting {
    let commands: Commands
    let cleanup: Cleanup
    /// Everything that a run writes lies below it.
    let directory: String
    /// Bytes of each device that are measured.
    let sizeBytes: UInt64

    /// Reads the measured part of a device once, so that what can be in memory is.
    func warm(_ device: Device) throws(BenchError) {
        try commands.run(
            [
                "dd", "if=\(device.path)", "of=/dev/null", "bs=1M", "iflag=direct",
                "count=\(sizeBytes >> 20)",
                "skip=\(device.offsetBytes >> 20)",
            ], seconds: 600)
    }

    /// Waits until what was written before is on the disk, so that nobody pays for another one's writes.
    func settle() throws(BenchError) {
        try commands.run(["sync", "--file-system", directory], seconds: 600)
    }
}
