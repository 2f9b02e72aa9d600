// SPDX-License-Identifier: Apache-2.0

import Glibc

/// How long clone and snapshot take for images of several sizes, without the start of a process.
struct CloneBench {
    /// Lengths of the images in GiB.
    let sizes: [Int]
    let program: String
    let setting: Setting
    let json: JSONLines?

    private static let repetitions = 100

    /// One line of the JSON for each operation and size.
    private struct Row: Encodable {
        let operation: String
        let gibibytes: Int
        let p50Milliseconds: Double
        let p99Milliseconds: Double
        let highestMilliseconds: Double
        let limitMilliseconds: Double
        let isMet: Bool
        let samples: [Double]
    }

    func run() throws -> String {
        var table = Table(["operation", "image", "p50 ms", "p99 ms", "max ms", "below", ""])
        let daemon = try SlackerDaemon(
            program, directory: setting.directory + "/clones", setting.commands, setting.cleanup)
        for size in sizes {
            let image = "size-\(size)"
            try makeImage(image, gibibytes: size, daemon)
            for row in [try clones(of: image, size, daemon), try snapshots(of: image, size, daemon)] {
                try json?.write("latency", row)
                table.add([
                    row.operation, "\(size) GiB", Format.fixed(row.p50Milliseconds, 2),
                    Format.fixed(row.p99Milliseconds, 2), Format.fixed(row.highestMilliseconds, 2),
                    Format.fixed(row.limitMilliseconds, 0), row.isMet ? "met" : "MISSED",
                ])
            }
        }
        return "Clone and snapshot through the control socket, \(Self.repetitions) times each\n\n"
            + table.text
    }

    /// The tar is made and packed on the way, so that it takes no more space than the image does.
    private func makeImage(_ name: String, gibibytes: Int, _ daemon: SlackerDaemon) throws {
        Terminal.note("clones: making an image of \(gibibytes) GiB")
        let tar = "\(setting.directory)/\(name).tar.zst"
        var ends: [Int32] = [0, 0]
        if pipe(&ends) < 0 { throw BenchError.last("pipe", "pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        let packer: ChildProcess
        do {
            defer { close(ends[0]) }
            packer = try ChildProcess(
                ["zstd", "-q", "-1", "-f", "-o", tar], outputPath: setting.directory + "/zstd.log",
                input: ends[0])
        }
        do {
            defer { close(ends[1]) }
            try Contents.repeating(gibibytes: gibibytes, to: ends[1])
        } catch {
            packer.stop(graceSeconds: 1)
            throw error
        }
        let status = try packer.wait(seconds: 600)
        if status != 0 { throw BenchError.commandFailed(command: "zstd", status: status, output: "") }
        try daemon.importTar(tar, as: name)
        unlink(tar)
    }

    private func clones(of image: String, _ size: Int, _ daemon: SlackerDaemon) throws -> Row {
        Terminal.note("clones: \(Self.repetitions) clones of \(size) GiB")
        var samples: [Double] = []
        for index in 0..<Self.repetitions {
            try Interrupt.check()
            samples.append(try milliseconds { try daemon.clone(image, as: "clone-\(size)-\(index)") })
        }
        for index in 0..<Self.repetitions { try daemon.remove("clone-\(size)-\(index)") }
        return row("clone", size, samples, limit: 2)
    }

    /// Before each snapshot the volume gets 1 MiB of new data in blocks that lie apart.
    private func snapshots(of image: String, _ size: Int, _ daemon: SlackerDaemon) throws -> Row {
        Terminal.note("clones: \(Self.repetitions) snapshots of \(size) GiB")
        let volume = "written-\(size)"
        try daemon.clone(image, as: volume)
        var samples: [Double] = []
        for index in 0..<Self.repetitions {
            try dirty(daemon.file(ofVolume: volume), seed: index, gibibytes: size)
            samples.append(try milliseconds { try daemon.snapshot(volume, as: "snapshot-\(size)-\(index)") })
        }
        try daemon.remove(volume)
        for index in 0..<Self.repetitions { try daemon.remove("snapshot-\(size)-\(index)") }
        return row("snapshot", size, samples, limit: 10)
    }

    private func dirty(_ file: String, seed: Int, gibibytes: Int) throws {
        try setting.commands.run([
            "fio", "--name=dirty", "--filename=\(file)", "--rw=randwrite", "--bs=4k", "--ioengine=psync",
            "--size=\(gibibytes)g", "--io_size=1m", "--randseed=\(seed + 1)", "--invalidate=0",
            "--allow_file_create=0",
        ])
    }

    private func milliseconds(_ body: () throws -> Void) rethrows -> Double {
        let start = ContinuousClock.now
        try body()
        return (ContinuousClock.now - start) / .milliseconds(1)
    }

    private func row(_ operation: String, _ size: Int, _ samples: [Double], limit: Double) -> Row {
        let statistics = Statistics(samples)
        let p99 = statistics.percentile(99)
        return Row(
            operation: operation, gibibytes: size, p50Milliseconds: statistics.percentile(50),
            p99Milliseconds: p99,
            highestMilliseconds: statistics.highest, limitMilliseconds: limit, isMet: p99 < limit,
            samples: samples)
    }
}
