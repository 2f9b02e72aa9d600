// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import TestSupport
import Testing
import Volumes

@testable import Distribution

@Suite("Boot packs")
struct BootPackTests {
    private let registry: RegistryServer
    private let here: Machine
    private let there: Machine

    init() throws {
        registry = try RegistryServer()
        here = try Machine()
        there = try Machine()
    }

    private func touched(_ machine: Machine, _ image: String, _ blocks: [UInt32]) throws -> BootProfile {
        let map = try machine.store.residentMap(ofImage: image).map
        return BootProfile(
            try blocks.map { block in
                let extent = map.extents[map.firstExtent(endingAfter: block)]
                try #require(extent.start <= block)
                return BootProfile.Touch(
                    chunk: map.chunks[Int(extent.chunk)].digest,
                    first: extent.offset + UInt8(block - extent.start), count: 1)
            })
    }

    @Test("what a container reads first comes in one stream and nothing else does", .timeLimit(.minutes(2)))
    func stream() throws {
        var random = SplitMix(seed: 20)
        let blocks: [UInt32] = [900, 901, 3, 700, 500, 4, 5]
        let content = try here.addNoise("base", chunks: 64, &random)
        try here.store.setProfile(try touched(here, "base", blocks), ofImage: "base")
        let pushed = try here.push("base", registry.host + "/app:1")
        #expect(pushed.newPacks == 2)
        let report = try there.pull(registry.host + "/app:1", as: "app", PullOptions(policy: .everyone))
        #expect(report.bootBytes > 0 && report.bootBytes < 40_000)
        try there.waitForBoot("app", bytes: UInt64(blocks.count * Block.bytes))
        #expect(try there.presentBytes("app") == UInt64(blocks.count * Block.bytes))
        let (table, _) = try there.store.places(ofImage: "app")
        #expect(table.bootPack == 0)
        expectEqual(try there.content("app"), content)
    }

    @Test(
        "the boot pack of a derived image is that of its base while it is good enough",
        .timeLimit(.minutes(2)))
    func derived() throws {
        var random = SplitMix(seed: 21)
        let blocks = (0..<20).map { UInt32($0 * 40 + 7) }
        var content = try here.addNoise("base", chunks: 64, &random)
        try here.store.setProfile(try touched(here, "base", blocks), ofImage: "base")
        try here.push("base", registry.host + "/app:1")
        try there.pull(registry.host + "/app:1", as: "base")
        let change = random.shrinkingBytes(Block.bytes)
        try there.change("base", into: "next", writing: change, at: 7 * 4096)
        content.replaceSubrange(7 * 4096..<8 * 4096, with: change)
        let report = try there.push("next", registry.host + "/app:2")
        #expect(report.sentPlainBytes == 4096 && report.mapIsDifference)
        let third = try Machine()
        let pulled = try third.pull(
            registry.host + "/app:2", as: "next", PullOptions(policy: .everyone))
        #expect(pulled.bootBytes > 0)
        // To another registry the order goes along, though nobody recorded it here.
        let other = try RegistryServer()
        try third.push("next", other.host + "/app:1")
        let fourth = try Machine()
        #expect(try fourth.pull(other.host + "/app:1", as: "next").bootBytes > 0)
        try third.waitForBoot("next", bytes: 19 * 4096)
        #expect(try third.presentBytes("next") >= 19 * 4096)
        expectEqual(try third.content("next"), content)
    }
}
