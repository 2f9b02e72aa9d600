// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Glibc

/// `hellobench io`: the data path, side by side with a local loop device and qemu-storage-daemon.
struct IOCommand: ParsableCommand {
    enum Part: String, CaseIterable, ExpressibleByArgument {
        case reads, writes, files, clones, memory

        static var names: String { allCases.map(\.rawValue).joined(separator: ",") }
    }

    static let configuration = CommandConfiguration(
        commandName: "io",
        abstract:
            "Compares our block devices with a loop device on a local file and with qemu-storage-daemon.",
        discussion: """
            Needs root, and disk space of some twelve times --size. The exit status is 0 whatever the ratios.
            """)

    @Option(help: "Rounds; figures are medians of them.")
    var runs = 5

    @Option(help: "MiB of each device that are measured.")
    var size = 1024

    @Option(help: "Seconds of each single measurement, at most.")
    var seconds = 3

    @Option(help: "Only these parts, with commas between: reads, writes, files, clones, memory.")
    var only = Part.names

    @Option(help: "GiB of the images that are cloned and snapshotted, with commas between.")
    var imageSizes = "1,10,40"

    @Option(help: "Write every sample and result to this file, one JSON object a line.")
    var json: String?

    @Option(help: "The slacker program. (default: the one beside this program, or in PATH)")
    var slacker: String?

    @Option(help: "Where files are made while it runs.")
    var directory = "/var/tmp"

    private var parts: Set<Part> {
        get throws {
            Set(
                try only.split(separator: ",").map { word in
                    guard let part = Part(rawValue: String(word)) else {
                        throw ValidationError("--only: '\(word)' is none of \(Part.names)")
                    }
                    return part
                })
        }
    }

    private var imageSizesGiB: [Int] {
        get throws {
            try imageSizes.split(separator: ",").map { word in
                guard let size = Int(word), (1...1024).contains(size) else {
                    throw ValidationError("--image-sizes: '\(word)' is not a number of GiB from 1 to 1024")
                }
                return size
            }
        }
    }

    func validate() throws {
        guard runs >= 1, seconds >= 1 else { throw ValidationError("--runs and --seconds are at least 1") }
        guard (16...1 << 20).contains(size) else { throw ValidationError("--size is from 16 to 1048576 MiB") }
        _ = try parts
        _ = try imageSizesGiB
    }

    func run() throws {
        try Requirements.check()
        let program = try Requirements.slacker(slacker)
        let lines = try json.map { path throws(BenchError) in try JSONLines(path: path) }
        let work = try Files.makeTemporaryDirectory(in: directory)
        let commands = Commands(directory: work)
        let cleanup = Cleanup()
        cleanup.add("remove \(work)") {
            try commands.run(["rm", "-rf", "--one-file-system", work], seconds: 300, interruptible: false)
        }
        defer { cleanup.run() }
        let setting = Setting(
            commands: commands, cleanup: cleanup, directory: work, sizeBytes: UInt64(size) << 20)
        try checkSpace()
        try run(program, setting, lines)
    }

    private func checkSpace() throws {
        let needed = UInt64(size) << 20 * 12
        let free = try Files.freeBytes(in: directory)
        if free < needed {
            throw BenchError.lackOfSpace(directory: directory, neededBytes: needed, freeBytes: free)
        }
    }

    private func run(_ program: String, _ setting: Setting, _ lines: JSONLines?) throws {
        let parts = try parts
        let workloads =
            (parts.contains(.reads) ? BlockWorkload.reads : [])
            + (parts.contains(.writes) ? BlockWorkload.writes : [])
        try lines?.write("machine", try machine(program, setting))
        let tar = setting.directory + "/image.tar"
        let files = parts.contains(.files) ? BlockWorkload.files : []
        if !workloads.isEmpty || !files.isEmpty || parts.contains(.memory) { try makeTar(tar) }
        if parts.contains(.memory) {
            Terminal.result(
                try MemoryBench(program: program, tar: tar, setting: setting, json: lines).run() + "\n")
        }
        if parts.contains(.clones) {
            let bench = CloneBench(sizes: try imageSizesGiB, program: program, setting: setting, json: lines)
            Terminal.result(try bench.run() + "\n")
        }
        if !workloads.isEmpty || !files.isEmpty {
            let daemon = try startDaemon(program, tar: tar, setting)
            try runDevices(workloads, daemon, setting, lines)
            try runFiles(files, daemon, setting, lines)
        }
    }

    private func startDaemon(_ program: String, tar: String, _ setting: Setting) throws -> SlackerDaemon {
        Terminal.note("importing the image")
        let daemon = try SlackerDaemon(
            program, directory: setting.directory + "/slacker", setting.commands, setting.cleanup)
        try daemon.importTar(tar, as: "image")
        unlink(tar)
        return daemon
    }

    private func runDevices(
        _ workloads: [BlockWorkload], _ daemon: SlackerDaemon, _ setting: Setting, _ lines: JSONLines?
    ) throws {
        if workloads.isEmpty { return }
        let engines = try makeEngines(daemon, setting, lines)
        let figures = try bench(workloads, setting, lines).run(engines)
        let report = BlockReport(
            "Block devices", figures, workloads, ours: ["slacker clean", "slacker delta"], runs: runs)
        try report.write(to: lines)
        Terminal.result(report.text + "\n")
        let qemu = QemuReport(figures, workloads)
        try qemu.write(to: lines)
        Terminal.result(qemu.text + "\n")
    }

    private func runFiles(
        _ workloads: [BlockWorkload], _ daemon: SlackerDaemon, _ setting: Setting, _ lines: JSONLines?
    ) throws {
        if workloads.isEmpty { return }
        Terminal.note("mounting copies of the image")
        var engines: [any BlockEngine] = []
        for (name, directIO) in [("local direct", true), ("local buffered", false)] {
            let copy = "\(setting.directory)/\(directIO ? "direct" : "buffered").ext4"
            try FileEngine.copy(daemon.file(ofImage: "image"), to: copy, setting)
            engines.append(try FileEngine(name, file: copy, directIO: directIO, setting))
        }
        try daemon.clone("image", as: "files")
        engines.append(
            try FileEngine("slacker clone", file: daemon.file(ofVolume: "files"), directIO: true, setting))
        try setting.settle()
        let figures = try bench(workloads, setting, lines).run(engines)
        let report = BlockReport("Files", figures, workloads, ours: ["slacker clone"], runs: runs)
        try report.write(to: lines)
        Terminal.result(report.text)
    }

    private func bench(_ workloads: [BlockWorkload], _ setting: Setting, _ lines: JSONLines?) -> BlockBench {
        let fio = Fio(setting: setting, seconds: seconds)
        return BlockBench(workloads: workloads, runs: runs, fio: fio, setting: setting, json: lines)
    }

    /// A little more data than is measured, since the file system's own blocks lie between the files.
    private func makeTar(_ path: String) throws(BenchError) {
        Terminal.note("making \(size) MiB of random files")
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        if descriptor < 0 { throw .last("open", path) }
        defer { close(descriptor) }
        let large = FileEngine.largeBytes(UInt64(size) << 20)
        try Contents.random(bytes: size << 20 + size << 14, largeBytes: Int(large), to: descriptor)
    }

    private func makeEngines(
        _ daemon: SlackerDaemon, _ setting: Setting, _ lines: JSONLines?
    ) throws -> [any BlockEngine] {
        Terminal.note("making copies of the image")
        let source = daemon.file(ofImage: "image")
        let window = Window(sizeBytes: setting.sizeBytes, dataRuns: try Files.dataRuns(of: source))
        try lines?.write("window", window)
        Terminal.note(
            "\(window.dataBytes * 100 / window.sizeBytes) % of the measured part is data, the rest holes")
        let base = try QemuEngine.makeBase(copyOf: source, window, setting)
        var engines: [any BlockEngine] = [
            try LocalEngine(directIO: false, copyOf: source, window, setting),
            try VolumeEngine(.clean, image: "image", window, daemon, setting),
            FreshEngine(directIO: false, setting),
            try LocalEngine(directIO: true, copyOf: source, window, setting),
            try VolumeEngine(.delta, image: "image", window, daemon, setting),
            FreshEngine(directIO: true, setting),
        ]
        for access in QemuEngine.Access.allCases {
            engines.append(try QemuEngine(access, base: base, setting))
        }
        try setting.settle()
        return engines
    }

    private func machine(_ program: String, _ setting: Setting) throws -> Machine {
        func firstLine(_ words: [String]) throws -> String {
            try setting.commands.run(words).split(separator: "\n").first.map(String.init) ?? ""
        }
        return Machine(
            kernel: Machine.kernelRelease, processor: Machine.processorName,
            cores: sysconf(Int32(_SC_NPROCESSORS_ONLN)),
            memoryMiB: Machine.memoryKiB("MemTotal") / 1024, fio: try firstLine(["fio", "--version"]),
            slacker: try firstLine([program, "version"]), directory: directory, runs: runs, seconds: seconds,
            sizeMiB: size)
    }
}
