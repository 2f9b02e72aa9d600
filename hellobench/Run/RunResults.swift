// SPDX-License-Identifier: Apache-2.0

import FoundationEssentials
import Glibc

/// The file of a run: what it holds already, and what is added.
final class RunResults {
    let done: DoneSamples
    private(set) var samples: [SampleRecord]
    private let lines: JSONLines?

    /// - Parameters:
    ///   - path: nil to keep nothing.
    ///   - resumes: what the file holds stays, and is not measured again.
    init(path: String?, resumes: Bool, cycle: Cycle, link: LinkRecord?) throws {
        try Self.check(path: path, resumes: resumes)
        guard let path else {
            (done, samples, lines) = (.none, [], nil)
            return
        }
        let exists = Files.exists(path)
        // First: this also removes a line that was not finished.
        lines = try JSONLines(path: path, appending: true)
        let results = exists ? try Results(paths: [path]) : nil
        done = results.map { DoneSamples($0, cycle: cycle, link: link) } ?? .none
        let run = done.run
        samples = results?.samples.filter { run != nil && $0.run == run } ?? []
    }

    /// - Throws: when the file would be lost, or there is none to go on with.
    static func check(path: String?, resumes: Bool) throws(BenchError) {
        guard let path else {
            if resumes { throw .answer("--resume: name the file with --out") }
            return
        }
        if !resumes, Files.exists(path) {
            throw .answer("\(path): is there already; add --resume to go on with it, or name another")
        }
    }

    func add(_ sample: SampleRecord) throws {
        samples.append(sample)
        try lines?.write(sample)
    }

    func add(_ record: some ResultRecord) throws { try lines?.write(record) }
}

extension MachineRecord {
    /// This machine, now.
    init(versions: [String: String]) {
        var name = [CChar](repeating: 0, count: 256)
        gethostname(&name, name.count - 1)
        self.init(
            host: String(decoding: name.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self),
            kernel: Machine.kernelRelease, cpu: Machine.processorName,
            cores: sysconf(Int32(_SC_NPROCESSORS_ONLN)),
            memoryBytes: Machine.memoryKiB("MemTotal") << 10, date: Self.now, versions: versions)
    }

    /// The time in UTC as ISO 8601 has it.
    static var now: String {
        var seconds = time(nil)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func two(_ value: Int32) -> String { value < 10 ? "0\(value)" : "\(value)" }
        return "\(parts.tm_year + 1900)-\(two(parts.tm_mon + 1))-\(two(parts.tm_mday))T"
            + "\(two(parts.tm_hour)):\(two(parts.tm_min)):\(two(parts.tm_sec))Z"
    }
}
