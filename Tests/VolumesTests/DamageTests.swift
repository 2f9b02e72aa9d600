// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc
import TestSupport
import Testing

@testable import Volumes

/// Damaged files never stop the start, never trap, and never harm what is whole.
@Suite struct DamageTests {
    private let directory: TestDirectory

    init() throws {
        directory = try TestDirectory()
    }

    /// A store with two images, an unsealed snapshot and two changed volumes, closed.
    private func fixture(_ root: String) throws {
        let store = try VolumeStore(root: root)
        var random = SplitMix(seed: 1)
        try store.addImage("whole", content: random.bytes(8 * Block.bytes))
        try store.addImage("other", content: random.bytes(8 * Block.bytes))
        store.sealer.stop()
        let volume = try store.clone(image: "other", as: "v")
        try volume.write(random.bytes(2 * Block.bytes), at: 4096)
        _ = try store.snapshot(volume: "v", as: "layered")
        try volume.write(random.bytes(Block.bytes), at: 0)
        try volume.synchronize()
        try store.clone(image: "whole", as: "w").write([1], at: 0)
    }

    private func touchAll(_ store: VolumeStore) {
        for record in store.images() { _ = try? store.content(image: record.name) }
        for record in store.volumes() {
            guard let volume = try? store.blockFile(volume: record.name) else { continue }
            _ = try? volume.content()
            try? volume.write([7], at: 100)
            try? volume.synchronize()
        }
        _ = store.usage()
    }

    private static func files(_ root: String) throws -> [String] {
        try ["maps", "deltas"].flatMap { folder in
            try Directories.names(in: root + "/" + folder).map { "\(folder)/\($0)" }
        } + ["catalog.db"]
    }

    @Test func eachFileDamagedAtManyPlaces() throws {
        let template = directory.path + "/template"
        try fixture(template)
        var random = SplitMix(seed: 4)
        var number = 0
        for name in try Self.files(template) {
            for round in 0..<6 {
                number += 1
                let root = directory.path + "/\(number)"
                _ = try Subprocess.run(["cp", "-a", template, root])
                let file = try File(open: root + "/" + name, O_RDWR)
                let size = Int(try file.size())
                switch round {
                case 0: try file.truncate(to: 0)
                case 1: try file.truncate(to: UInt64(size / 2))
                case 2: try Directories.removeFile(file.path)
                default:
                    for _ in 0..<(round == 3 ? 1 : 40) {
                        let place = UInt64(random.below(round == 5 ? min(size, 4200) : size))
                        try file.write([UInt8(random.below(256))], at: place)
                    }
                }
                do {
                    let store = try VolumeStore(root: root)
                    touchAll(store)
                    if name != "catalog.db" {
                        #expect(
                            store.images().count == 3 && store.volumes().count == 2, "\(name), round \(round)"
                        )
                    }
                    store.close()
                } catch {
                    // Only the catalog may keep a store from opening, and then with a word of advice.
                    #expect(name == "catalog.db", "\(name): \(error)")
                }
                try Directories.removeTree(root)
            }
        }
    }

    @Test func aDamagedMapBreaksItsImageOnly() throws {
        let root = directory.path + "/root"
        try fixture(root)
        var store: VolumeStore? = try VolumeStore(root: root)
        let digest = try #require(try store?.image(named: "other").digest)
        let intact = try #require(try store?.content(image: "whole"))
        try store?.waitUntilSealed("layered")
        store = nil
        try File(open: root + "/maps/" + digest.hex + ".map", O_RDWR).write([0xFF], at: 40)
        store = try VolumeStore(root: root)
        let opened = try #require(store)
        #expect(try opened.image(named: "other").brokenReason != nil)
        #expect(throws: VolumeError.self) { try opened.blockFile(image: "other") }
        #expect(throws: VolumeError.self) { try opened.clone(image: "other", as: "x") }
        expectEqual(try opened.content(image: "whole"), intact, "whole")
        #expect(try opened.image(named: "layered").brokenReason == nil)
        // What it needs is unknown: nothing is freed while it is there.
        let chunks = opened.chunks.statistics().chunks
        try opened.addImage("unrelated", content: intact)
        try opened.remove("unrelated")
        #expect(throws: VolumeError.self) { try opened.collect() }
        #expect(opened.chunks.statistics().chunks == chunks)
        // A broken image can be removed, and its name used again.
        try opened.remove("other")
        _ = try opened.collect()
        #expect(opened.chunks.statistics().unreferencedChunks == 0)
        try opened.addImage("other", content: intact)
    }

    @Test func aCloneWhoseRowWasLostIsSimplyNotThere() throws {
        let root = directory.path + "/root"
        var store: VolumeStore? = try VolumeStore(root: root)
        var random = SplitMix(seed: 1)
        try store?.addImage("i", content: random.bytes(8 * Block.bytes))
        let flushed = try File(open: root + "/catalog.db-wal", O_RDONLY).size()
        _ = try store?.clone(image: "i", as: "v").write([1], at: 0)
        let copy = directory.path + "/copy"
        store?.sealer.stop()
        _ = try Subprocess.run(["cp", "-a", root, copy])
        store = nil
        try File(open: copy + "/catalog.db-wal", O_RDWR).truncate(to: flushed)
        let opened = try VolumeStore(root: copy, bootID: try boot(9))
        #expect(opened.volumes().isEmpty && opened.images().count == 1)
        #expect(try Directories.names(in: copy + "/deltas").isEmpty)
    }
}
