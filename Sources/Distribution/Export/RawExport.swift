// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc

/// Writes the blocks of an image as they are.
struct RawExport {
    /// Blocks that are read and written in one go; 4 MiB.
    private static let stepBlocks: UInt32 = 1024

    private let job: ExportJob
    private let resident: ResidentMap

    init(_ job: ExportJob, _ resident: ResidentMap) {
        (self.job, self.resident) = (job, resident)
    }

    /// A sparse file of the image's length.
    func write(_ path: String) throws(DistributionError) -> ExportJob.Written {
        let new = try NewFile(path)
        let bytes = try write(to: new.file)
        try new.keep()
        return ExportJob.Written(bytes: bytes)
    }

    /// By way of a sparse file beside the target, which goes away.
    func convert(_ path: String) throws(DistributionError) -> ExportJob.Written {
        let (raw, new) = (try NewFile(path), try NewFile(path))
        _ = try write(to: raw.file)
        job.meter.begin(.converting)
        try run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw.file.path, new.file.path])
        let bytes = try Step.system { () throws(SystemError) in try new.file.status().allocatedBytes }
        try new.keep()
        return ExportJob.Written(bytes: bytes)
    }

    private func write(to file: File) throws(DistributionError) -> UInt64 {
        let blocks = OrdinaryBlocks(job.image, resident, job.clients)
        let ranges = Self.data(of: blocks.map)
        let total = ranges.reduce(0) { $0 + UInt64($1.count) * UInt64(Block.bytes) }
        job.meter.begin(.exporting, totalBytes: total)
        try Step.system { () throws(SystemError) in try file.truncate(to: resident.sizeBytes) }
        for range in ranges {
            if job.isCancelled() { throw .cancelled }
            let bytes: [UInt8]
            do { bytes = try blocks.read(blocks: range) } catch {
                throw error as? DistributionError ?? .remote(job.image, reason: "\(error)")
            }
            try Step.system { () throws(SystemError) in
                try file.write(bytes, at: UInt64(range.start) * UInt64(Block.bytes))
            }
            job.meter.add(UInt64(bytes.count))
        }
        return total
    }

    /// What is no hole, in pieces of at most a step.
    private static func data(of map: BlockMap) -> [BlockRange] {
        var ranges: [BlockRange] = []
        for extent in map.extents {
            if let last = ranges.last, last.end == extent.start,
                last.count + UInt32(extent.count) <= stepBlocks
            {
                ranges[ranges.count - 1] = BlockRange(
                    start: last.start, count: last.count + UInt32(extent.count))
            } else {
                ranges.append(extent.range)
            }
        }
        return ranges
    }

    /// Runs a program to its end, or until the export is cancelled.
    private func run(_ words: [String]) throws(DistributionError) {
        let errors = try ScratchFile.make(in: job.clients.scratch)
        let child: Int32
        do throws(SystemError) {
            child = try Subprocess.spawn(words, output: errors.fd, errors: errors.fd, newSession: true)
        } catch {
            if error.code != ENOENT { throw .system(error) }
            throw .unavailable("\(words[0]): not found; install the package qemu-utils")
        }
        var status: Int32 = 0
        while waitpid(child, &status, WNOHANG) == 0 {
            if job.isCancelled() { kill(child, SIGKILL) }
            usleep(20_000)
        }
        if job.isCancelled() { throw .cancelled }
        if status == 0 { return }
        let bytes = try Step.system { () throws(SystemError) in try errors.read(count: 4096, at: 0) }
        let text = String(decoding: bytes, as: UTF8.self).split(separator: "\n").last ?? "it says nothing"
        throw .badExport("\(job.target)", reason: "\(words[0]) failed: \(text)")
    }
}
