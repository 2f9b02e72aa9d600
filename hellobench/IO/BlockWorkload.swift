// SPDX-License-Identifier: Apache-2.0

/// One way of using a block device, as fio's options say it, and what it must reach.
struct BlockWorkload {
    /// As it stands in tables and JSON.
    let name: String
    /// fio's `--rw`.
    let pattern: String
    let blockBytes: Int
    let depth: Int
    let synchronous: Bool
    /// Of the local loop device's figure.
    let leastAgainstLocal: Double
    /// Of qemu-storage-daemon's figure; nil where nothing is promised.
    let leastAgainstQemu: Double?

    var writes: Bool { pattern.hasSuffix("write") }
    var isSequential: Bool { !pattern.hasPrefix("rand") }
    /// What the figure counts.
    var unit: String { isSequential ? "MiB/s" : "IOPS" }

    static let reads = [
        read("seq read 1M qd1", "read", 1 << 20, 1, qemu: 10),
        read("seq read 1M qd16", "read", 1 << 20, 16, qemu: 10),
        read("rand read 4k qd1", "randread", 4096, 1, qemu: 2),
        read("rand read 4k qd16", "randread", 4096, 16, qemu: 5),
    ]

    static let writes = [
        write("seq write 1M qd1", "write", 1 << 20, 1),
        write("seq write 1M qd16", "write", 1 << 20, 16),
        write("rand write 4k qd1", "randwrite", 4096, 1),
        write("rand write 4k qd16", "randwrite", 4096, 16),
        write("rand write 4k fsync", "randwrite", 4096, 1, synchronous: true),
    ]

    private static func read(
        _ name: String, _ pattern: String, _ bytes: Int, _ depth: Int, qemu: Double
    ) -> BlockWorkload {
        BlockWorkload(
            name: name, pattern: pattern, blockBytes: bytes, depth: depth, synchronous: false,
            leastAgainstLocal: 0.95, leastAgainstQemu: qemu)
    }

    private static func write(
        _ name: String, _ pattern: String, _ bytes: Int, _ depth: Int, synchronous: Bool = false
    ) -> BlockWorkload {
        BlockWorkload(
            name: name, pattern: pattern, blockBytes: bytes, depth: depth, synchronous: synchronous,
            leastAgainstLocal: 0.8, leastAgainstQemu: nil)
    }
}
