// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc
import TestSupport
import Testing

@testable import Volumes

/// Random operations on a store beside a model in plain memory; a seed replays a failure.
@Suite struct ModelTests {
    @Test(arguments: 1...5)
    func storeEqualsItsModel(_ seed: Int) throws {
        var run = try ModelRun(seed: UInt64(seed), withPowerCuts: false)
        for _ in 0..<120 { try run.step() }
        try run.compareAll()
    }

    @Test(arguments: 101...106)
    func storeEqualsItsModelAcrossPowerCuts(_ seed: Int) throws {
        var run = try ModelRun(seed: UInt64(seed), withPowerCuts: true)
        for _ in 0..<120 { try run.step() }
        try run.compareAll()
    }
}

/// What the model knows of a volume.
private struct ModelVolume {
    var bytes: [UInt8]
    /// Every content that each block had since the last flush, the flushed one first.
    var history: [[[UInt8]]]
    /// The delta's files as the last flush left them.
    var flushedFiles: [String: [UInt8]] = [:]

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        history = []
        flushed()
    }

    static func block(_ index: Int, of bytes: [UInt8]) -> [UInt8] {
        Array(bytes[index * Block.bytes..<(index + 1) * Block.bytes])
    }

    mutating func flushed() {
        history = (0..<bytes.count / Block.bytes).map { [Self.block($0, of: bytes)] }
    }

    mutating func change(_ offset: Int, _ new: [UInt8]) {
        bytes.replaceSubrange(offset..<offset + new.count, with: new)
        for index in offset / Block.bytes...(offset + new.count - 1) / Block.bytes {
            history[index].append(Self.block(index, of: bytes))
        }
    }
}

private struct ModelRun {
    private let directory: TestDirectory
    private let withPowerCuts: Bool
    private var random: SplitMix
    private var root: String
    private var bootNumber: UInt8 = 1
    private var store: VolumeStore
    private var images: [String: [UInt8]] = [:]
    private var volumes: [String: ModelVolume] = [:]
    private var counter = 0

    init(seed: UInt64, withPowerCuts: Bool) throws {
        directory = try TestDirectory()
        self.withPowerCuts = withPowerCuts
        random = SplitMix(seed: seed)
        root = directory.path + "/0"
        store = try VolumeStore(root: root, bootID: try boot(1))
        try addImage()
    }

    private mutating func newName(_ prefix: String) -> String {
        counter += 1
        return "\(prefix)\(counter)"
    }

    private mutating func pick<T>(_ from: [String: T]) -> String? {
        from.keys.sorted().randomElement(using: &random)
    }

    mutating func step() throws {
        switch random.below(100) {
        case 0..<8: try clone()
        case 8..<40: try write(aligned: true)
        case 40..<52: try write(aligned: false)
        case 52..<62: try zero()
        case 62..<66: try resize()
        case 66..<74: try synchronize()
        case 74..<82: try snapshot()
        case 82..<85: try remove()
        case 85..<88: if let image = pick(images) { try store.waitUntilSealed(image) }
        case 88..<90: try addImage()
        case 90..<95: try compare()
        case 95..<97: try reopen()
        default: if withPowerCuts { try cutPower() } else { try kill() }
        }
    }

    private mutating func addImage() throws {
        if images.count > 6 { return }
        var bytes: [UInt8] = []
        for _ in 0..<20 + random.below(60) {
            bytes +=
                random.below(3) == 0 ? [UInt8](repeating: 0, count: Block.bytes) : random.bytes(Block.bytes)
        }
        let name = newName("image")
        try store.addImage(name, content: bytes)
        images[name] = bytes
    }

    private mutating func clone() throws {
        guard volumes.count < 6, let image = pick(images), let content = images[image] else { return }
        let name = newName("volume")
        if random.below(6) == 0 {
            let count = (10 + random.below(50)) * Block.bytes
            _ = try store.createVolume(named: name, sizeBytes: UInt64(count))
            volumes[name] = ModelVolume([UInt8](repeating: 0, count: count))
        } else {
            _ = try store.clone(image: image, as: name)
            volumes[name] = ModelVolume(content)
        }
    }

    private mutating func range(_ size: Int, aligned: Bool) -> (offset: Int, count: Int) {
        let unit = aligned ? Block.bytes : 1
        let offset = random.below(size / unit) * unit
        let limit = min(size - offset, (1 + random.below(12)) * Block.bytes)
        return (offset, max(unit, (1 + random.below(limit / unit)) * unit))
    }

    private mutating func write(aligned: Bool) throws {
        guard let name = pick(volumes), let size = volumes[name]?.bytes.count else { return }
        var (offset, count) = range(size, aligned: aligned)
        count = min(count, size - offset)
        let bytes = random.bytes(count)
        try store.blockFile(volume: name).write(bytes, at: UInt64(offset))
        volumes[name]?.change(offset, bytes)
    }

    private mutating func zero() throws {
        guard let name = pick(volumes), let size = volumes[name]?.bytes.count else { return }
        var (offset, count) = range(size, aligned: random.below(2) == 0)
        count = min(count, size - offset)
        let file = try store.blockFile(volume: name)
        if random.below(2) == 0 {
            try file.discard(offset: UInt64(offset), count: UInt64(count))
        } else {
            try file.zero(offset: UInt64(offset), count: UInt64(count))
        }
        volumes[name]?.change(offset, [UInt8](repeating: 0, count: count))
    }

    private mutating func resize() throws {
        guard let name = pick(volumes), let model = volumes[name] else { return }
        let count = (8 + random.below(90)) * Block.bytes
        try store.blockFile(volume: name).resize(to: UInt64(count))
        var bytes = Array(model.bytes.prefix(count))
        bytes += [UInt8](repeating: 0, count: count - bytes.count)
        volumes[name]?.bytes = bytes
        // The model does not follow lengths that no flush covers.
        try synchronize(name)
    }

    private mutating func synchronize() throws {
        if let name = pick(volumes) { try synchronize(name) }
    }

    private mutating func synchronize(_ name: String) throws {
        let volume = try store.blockFile(volume: name)
        try volume.synchronize()
        noteFlushed(name, volume)
    }

    private mutating func noteFlushed(_ name: String, _ volume: Volume) {
        volumes[name]?.flushed()
        let delta = volume.layers.delta
        var files: [String: [UInt8]] = [:]
        for path in [delta.dataPath, delta.logPath] {
            if let file = try? File(open: path, O_RDONLY), let bytes = try? file.read(count: 1 << 22, at: 0) {
                files[path.split(separator: "/").last.map(String.init) ?? ""] = bytes
            }
        }
        volumes[name]?.flushedFiles = files
    }

    private mutating func snapshot() throws {
        guard images.count < 12, let name = pick(volumes), let model = volumes[name] else { return }
        let image = newName("image")
        let record = try store.snapshot(volume: name, as: image)
        #expect(record.sizeBytes == UInt64(model.bytes.count))
        images[image] = model.bytes
        noteFlushed(name, try store.blockFile(volume: name))
    }

    private mutating func remove() throws {
        if random.below(2) == 0, volumes.count > 2, let name = pick(volumes) {
            try store.remove(name)
            volumes[name] = nil
        } else if images.count > 2, let name = pick(images) {
            try store.remove(name)
            images[name] = nil
        }
    }

    // MARK: Comparing

    private mutating func compare() throws {
        guard let name = pick(volumes), let model = volumes[name] else { return }
        let file = try store.blockFile(volume: name)
        let (offset, count) = range(model.bytes.count, aligned: false)
        let end = min(model.bytes.count, offset + count)
        expectEqual(
            try file.content(at: UInt64(offset), count: end - offset), Array(model.bytes[offset..<end]), name)
        try compareSeek(file, model.bytes)
    }

    private func compareSeek(_ file: Volume, _ bytes: [UInt8]) throws {
        // Holes must be zeros; data may be, since a written zero is data.
        var offset: UInt64 = 0
        while offset < UInt64(bytes.count) {
            let data = try file.seekData(from: offset) ?? UInt64(bytes.count)
            #expect(bytes[Int(offset)..<Int(data)].allSatisfy { $0 == 0 }, "a hole holds data")
            if data == UInt64(bytes.count) { break }
            offset = try #require(try file.seekHole(from: data))
            #expect(offset > data)
        }
    }

    func compareAll() throws {
        for (name, bytes) in images { expectEqual(try store.content(image: name), bytes, name) }
        for (name, model) in volumes {
            expectEqual(try store.blockFile(volume: name).content(), model.bytes, name)
        }
        #expect(store.images().map(\.name) == images.keys.sorted())
        #expect(store.volumes().map(\.name) == volumes.keys.sorted())
    }

    // MARK: Endings

    private mutating func reopen() throws {
        store.close()
        let boot = try boot(bootNumber)
        // The old object must go before the lock is free.
        store = try VolumeStore(root: directory.path + "/spare\(counter)", bootID: boot)
        store = try VolumeStore(root: root, bootID: boot)
        try compareAll()
    }

    /// What the disk and the page cache hold right now becomes the next store's directory: a killed daemon.
    private mutating func kill() throws {
        try moveToCopy { _ in }
        try compareAll()
    }

    private mutating func moveToCopy(_ change: (String) throws -> Void) throws {
        store.sealer.stop()
        counter += 1
        let copy = directory.path + "/\(counter)"
        let result = try Subprocess.run(["cp", "-a", root, copy])
        #expect(result.succeeded, "\(result.errors)")
        try change(copy)
        root = copy
        store = try VolumeStore(root: copy, bootID: try boot(bootNumber))
    }

    /// As `kill`, but pages that no flush covered are lost or kept at random.
    private mutating func cutPower() throws {
        bootNumber += 1
        var random = self.random
        let plans = volumes.compactMap { name, model -> ([String: [UInt8]], [String])? in
            guard let volume = try? store.blockFile(volume: name) else { return nil }
            let id = Delta.hex(volume.layers.delta.id)
            return (model.flushedFiles, ["\(id).data", "\(id).log"])
        }
        try moveToCopy { copy in
            for (flushed, names) in plans {
                for name in names {
                    try Self.losePages("\(copy)/deltas/\(name)", flushed[name], &random)
                }
            }
        }
        self.random = random
        try adopt()
        try compareAll()
    }

    private static func losePages(_ path: String, _ flushed: [UInt8]?, _ random: inout SplitMix) throws {
        guard Directories.exists(path) else { return }
        let file = try File(open: path, O_RDWR)
        guard let flushed else {
            // The file's very name had not reached the disk: it may be gone, empty, or there in part.
            switch random.below(3) {
            case 0: try Directories.removeFile(path)
            case 1: try file.truncate(to: 0)
            default: break
            }
            return
        }
        let size = Int(try file.size())
        for offset in stride(from: 0, to: size, by: Block.bytes) where random.below(2) == 0 {
            let old =
                offset < flushed.count
                ? Array(flushed[offset..<min(offset + Block.bytes, flushed.count)])
                : [UInt8](repeating: 0, count: min(Block.bytes, size - offset))
            try file.write(old, at: UInt64(offset))
        }
    }

    /// Checks that each block holds something that it held since the last flush, and goes on from there.
    private mutating func adopt() throws {
        for (name, model) in volumes {
            let found = try store.blockFile(volume: name).content()
            #expect(found.count == model.bytes.count)
            for index in 0..<min(found.count, model.bytes.count) / Block.bytes {
                let block = ModelVolume.block(index, of: found)
                if !model.history[index].contains(block) {
                    Issue.record("\(name): block \(index) holds what it never held since the last flush")
                }
            }
            volumes[name]?.bytes = found
            noteFlushed(name, try store.blockFile(volume: name))
        }
    }
}
