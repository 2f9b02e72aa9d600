// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials

/// What one run of fio gave.
struct FioResult: Encodable {
    let bytesPerSecond: Double
    let operationsPerSecond: Double
    /// Completion latency in microseconds.
    let p50Microseconds: Double
    let p99Microseconds: Double

    func figure(of workload: BlockWorkload) -> Double {
        workload.countsBytes ? bytesPerSecond / 1_048_576 : operationsPerSecond
    }
}

/// Runs fio on a block device or a file.
struct Fio {
    let setting: Setting
    let seconds: Int

    /// Reads go on for the whole time; writes end after one pass, so a new clone's blocks are written once.
    func run(_ workload: BlockWorkload, on device: Device) throws -> FioResult {
        let output = setting.directory + "/fio.json"
        let isDevice = workload.medium == .device
        var arguments = [
            "fio", "--name=job", "--filename=\(device.path)", "--rw=\(workload.pattern)",
            "--bs=\(workload.blockBytes)", "--iodepth=\(workload.depth)",
            "--ioengine=\(isDevice ? "libaio" : "psync")", "--direct=\(isDevice ? 1 : 0)", "--invalidate=0",
            "--randrepeat=0", "--offset=\(device.offsetBytes)",
            "--size=\(device.sizeBytes ?? setting.sizeBytes)", "--runtime=\(seconds)",
            "--output-format=json", "--output=\(output)",
        ]
        if !workload.writes { arguments.append("--time_based") }
        if workload.synchronous {
            arguments.append("--fdatasync=1")
        } else if workload.writes, !isDevice {
            // Filling the page cache is no writing: the time that the flush takes belongs to it.
            arguments.append("--end_fsync=1")
        }
        try setting.commands.run(arguments, seconds: Double(seconds) * 4 + 120)
        return try Self.parse(Files.text(output) ?? "", writes: workload.writes)
    }

    static func parse(_ text: String, writes: Bool) throws -> FioResult {
        // Warnings may stand before the object.
        let json = text.drop { $0 != "{" }
        guard let job = try JSONDecoder().decode(Output.self, from: Data(json.utf8)).jobs.first else {
            throw BenchError.answer("fio: its output has no job")
        }
        if job.error != 0 { throw BenchError.answer("fio: the job ended with error \(job.error)") }
        let side = writes ? job.write : job.read
        let percentiles = side.completion.percentile ?? [:]
        return FioResult(
            bytesPerSecond: side.bytesPerSecond, operationsPerSecond: side.operationsPerSecond,
            p50Microseconds: (percentiles["50.000000"] ?? 0) / 1000,
            p99Microseconds: (percentiles["99.000000"] ?? 0) / 1000)
    }

    /// The part of fio's JSON that is looked at; names are fio's.
    private struct Output: Decodable {
        let jobs: [Job]
    }

    private struct Job: Decodable {
        let error: Int
        let read: Side
        let write: Side
    }

    private struct Side: Decodable {
        let bytesPerSecond: Double
        let operationsPerSecond: Double
        let completion: Latency

        private enum CodingKeys: String, CodingKey {
            case bytesPerSecond = "bw_bytes"
            case operationsPerSecond = "iops"
            case completion = "clat_ns"
        }
    }

    private struct Latency: Decodable {
        let percentile: [String: Double]?
    }
}
