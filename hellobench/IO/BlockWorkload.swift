// SPDX-License-Identifier: Apache-2.0

/// One way of using a block device or a file, as fio's options say it, and what it must reach.
struct BlockWorkload {
    enum Medium {
        /// A block device without any cache of its own, by libaio and O_DIRECT.
        case device
        /// A file of a mounted file system through the page cache, as programs in containers use it.
        case file
    }

    /// As it stands in tables and JSON.
    let name: String
    /// fio's `--rw`.
    let pattern: String
    let blockBytes: Int
    let depth: Int
    let synchronous: Bool
    var medium = Medium.device
    /// Of the figure of a loop device on a local file that is set up as ours is.
    let leastAgainstLocal: Double
    /// Of qemu-storage-daemon's figure; nil where nothing is promised.
    let leastAgainstQemu: Double?

    var writes: Bool { pattern.hasSuffix("write") }
    /// The figure is bytes, not operations.
    var countsBytes: Bool { blockBytes > 4096 }
    /// What the figure counts.
    var unit: String { countsBytes ? "MiB/s" : "IOPS" }

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

    /// On files of an ext4 that is mounted from the device; what is read has been read before.
    static let files = [
        file("file seq read 1M", "read", 1 << 20, least: 0.95),
        file("file rand read 4k", "randread", 4096, least: 0.95),
        file("file write 1M", "write", 1 << 20, least: 0.8),
        file("file append 4k fsync", "write", 4096, synchronous: true, least: 0.8),
    ]

    private static func file(
        _ name: String, _ pattern: String, _ bytes: Int, synchronous: Bool = false, least: Double
    ) -> BlockWorkload {
        BlockWorkload(
            name: name, pattern: pattern, blockBytes: bytes, depth: 1, synchronous: synchronous,
            medium: .file, leastAgainstLocal: least, leastAgainstQemu: nil)
    }

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
