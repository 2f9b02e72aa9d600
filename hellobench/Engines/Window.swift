// SPDX-License-Identifier: Apache-2.0

/// The part of an image that is measured: where most of it is data and least of it holes.
struct Window: Encodable {
    /// A multiple of 1 MiB.
    let offsetBytes: UInt64
    let sizeBytes: UInt64
    let dataBytes: UInt64

    /// The window, beginning where a run of data begins, that holds the most data.
    init(sizeBytes: UInt64, dataRuns: [Range<UInt64>]) {
        var best = (offset: 0 as UInt64, data: 0 as UInt64)
        for (index, run) in dataRuns.enumerated() {
            let offset = run.lowerBound - run.lowerBound % (1 << 20)
            var data: UInt64 = 0
            for other in dataRuns[index...] {
                if other.lowerBound >= offset + sizeBytes { break }
                data += min(other.upperBound, offset + sizeBytes) - other.lowerBound
            }
            if data > best.data { best = (offset, data) }
        }
        offsetBytes = best.offset
        self.sizeBytes = sizeBytes
        dataBytes = best.data
    }
}

/// A block device or a file, and where on it the measured part begins.
struct Device {
    let path: String
    let offsetBytes: UInt64
    /// Length of the measured part; nil: as long as that of all devices.
    var sizeBytes: UInt64?
}
