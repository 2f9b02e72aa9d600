// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Where and with what a run was made; the first line of its JSON.
struct Machine: Encodable {
    let kernel: String
    let processor: String
    let cores: Int
    let memoryMiB: UInt64
    let fio: String
    let slacker: String
    let directory: String
    let runs: Int
    let seconds: Int
    let sizeMiB: Int

    static var processorName: String {
        let line = (Files.text("/proc/cpuinfo") ?? "").split(separator: "\n").first {
            $0.hasPrefix("model name")
        }
        return line?.split(separator: ":").last.map { String($0.drop { $0 == " " }) } ?? "unknown"
    }

    static func memoryKiB(_ field: String) -> UInt64 {
        number(field, in: Files.text("/proc/meminfo") ?? "")
    }

    /// The number behind `field:` in the format of /proc's status files.
    static func number(_ field: String, in text: String) -> UInt64 {
        let line = text.split(separator: "\n").first { $0.hasPrefix(field + ":") }
        return line?.split(separator: " ").dropFirst().first.flatMap { UInt64($0) } ?? 0
    }

    static var kernelRelease: String {
        (Files.text("/proc/sys/kernel/osrelease") ?? "unknown").split(separator: "\n").first.map(String.init)
            ?? ""
    }
}
