// SPDX-License-Identifier: Apache-2.0

/// Labels that containerd and its clients put on snapshots, and what may be in a label.
enum SnapshotLabels {
    /// The chain id under which a client will look for what it is about to unpack.
    static let target = "containerd.io/snapshot.ref"
    /// The image that a layer belongs to, as the client pulls it.
    static let imageReferences = [
        "containerd.io/snapshot/image-ref", "containerd.io/snapshot/cri.image-ref",
        "containerd.io/snapshot/remote/stargz.reference",
    ]
    /// Bytes of the file system of a snapshot, such as `20G`; what is made on it inherits the size.
    static let size = "containerd.io/snapshot/slacker.size"

    /// Bytes that a label may have, name and value together: containerd's own limit.
    private static let maximumBytes = 4096
    private static let maximumKeyBytes = 4096

    /// What is kept of labels: one without value is none.
    static func checked(_ labels: [String: String]) throws(SnapshotterError) -> [String: String] {
        for (name, value) in labels where name.utf8.count + value.utf8.count > maximumBytes {
            let start = String(name.prefix(64))
            throw SnapshotterError(
                .invalid, "label \(start): name and value have more than \(maximumBytes) bytes together")
        }
        return labels.filter { !$0.value.isEmpty }
    }

    static func check(key: String) throws(SnapshotterError) {
        if key.isEmpty { throw SnapshotterError(.invalid, "a snapshot needs a key") }
        if key.utf8.count > maximumKeyBytes {
            throw SnapshotterError(.invalid, "a key has \(maximumKeyBytes) bytes at most")
        }
    }

    /// The size that the labels ask for; nil when they ask for none.
    static func sizeBytes(_ labels: [String: String]) throws(SnapshotterError) -> UInt64? {
        guard let text = labels[size] else { return nil }
        let units: [Character: UInt64] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40]
        let unit = text.last.flatMap { units[Character($0.uppercased())] }
        guard let number = UInt64(unit == nil ? text[...] : text.dropLast()), number > 0,
            case let (bytes, overflow) = number.multipliedReportingOverflow(by: unit ?? 1), !overflow,
            bytes % 4096 == 0, bytes < 1 << 44
        else {
            throw SnapshotterError(
                .invalid, "label \(size): '\(text)' is no size; give bytes, in whole blocks, or such as 20G")
        }
        return bytes
    }
}
