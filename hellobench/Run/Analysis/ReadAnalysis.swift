// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What a container of `slacker` reads, seen from outside: at its block device and at the network.
struct ReadAnalysis {
    let stage: BenchStage
    let shape: LinkShape?
    let engine: any ContainerEngine

    struct Reads {
        /// Read from the block devices of containers until they were ready.
        let device: UInt64
        /// That came over the link until then.
        let fetched: UInt64
    }

    /// A first start from nothing, and a second one when the first has ended and memory was cleared.
    func run(_ image: BenchImage) throws -> (first: Reads, second: Reads) {
        try stage.registry.link.shape(megabits: nil)
        try engine.prepare(image, stage.registry)
        try stage.registry.link.shape(megabits: shape?.megabits)
        try engine.begin()
        defer { try? engine.end() }
        let reference = "\(try stage.registry.host(shape))/\(image.repository):\(engine.tag(of: image))"
        let first = try start(image, reference, name: "first")
        let second = try start(image, reference, name: "second")
        return (first, second)
    }

    private func start(_ image: BenchImage, _ reference: String, name: String) throws -> Reads {
        let session = ContainerSession(stage.place)
        defer { session.end() }
        let container = try session.container(name, reference: reference, task: image.task)
        try Caches.drop()
        try stage.registry.warm(image.repository)
        let devices = BlockReads(backedBelow: stage.place.directory)
        let before = stage.registry.link.counters().receivedBytes
        let process = try session.start(engine.run(container, pulls: true), container, engine.network)
        defer {
            if !process.hasEnded {
                _ = try? stage.commands.run(engine.kill(name), seconds: 30, interruptible: false)
            }
            _ = process.awaitEnd(seconds: 30)
            process.abandon()
        }
        var measured = Measurement()
        let limit = Double(image.task.timeLimitSeconds)
        try measured.add(process, process.awaitReady(limitSeconds: limit), limitSeconds: limit)
        let fetched = stage.registry.link.counters().receivedBytes - before
        if let error = measured.error { throw BenchError.answer("\(image.name): \(error)") }
        return Reads(device: devices.end(), fetched: fetched)
    }
}

/// Counts what is read from loop devices, looking again and again, since a device goes with its container.
final class BlockReads: Sendable {
    private struct State {
        var bytes: [String: UInt64] = [:]
        var isOver = false
    }

    private let state = Monitor(State())
    private let thread: Unchecked<pthread_t>

    /// - Parameter directory: of the files behind the devices.
    init(backedBelow directory: String) {
        let state = state
        thread = Unchecked(
            PlainThread.start {
                var known: [String: UInt64] = [:]
                while true {
                    let isOver = state.use { $0.isOver }
                    for device in Files.names(in: "/sys/block") where device.hasPrefix("loop") {
                        guard let bytes = Self.bytesRead(device, below: directory) else { continue }
                        known[device] = max(known[device] ?? 0, bytes)
                    }
                    state.use { $0.bytes = known }
                    if isOver { return }
                    usleep(5000)
                }
            })
    }

    /// Ends it.
    /// - Returns: what was read in all.
    func end() -> UInt64 {
        state.use { $0.isOver = true }
        pthread_join(thread.value, nil)
        return state.use { $0.bytes.values.reduce(0, +) }
    }

    private static func bytesRead(_ device: String, below directory: String) -> UInt64? {
        guard let file = Files.text("/sys/block/\(device)/loop/backing_file"), file.contains(directory + "/")
        else {
            return nil
        }
        // The third number counts sectors of 512 bytes that were read.
        let numbers = (Files.text("/sys/block/\(device)/stat") ?? "").split(whereSeparator: \.isWhitespace)
        return numbers.count > 2 ? UInt64(numbers[2]).map { $0 * 512 } : nil
    }
}
