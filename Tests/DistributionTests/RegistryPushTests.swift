// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import OCI
import TestSupport
import Testing
import Volumes

@testable import Distribution

@Suite("Push to and pull from a registry")
struct RegistryPushTests {
    private let registry: RegistryServer
    private let here: Machine
    private let there: Machine

    init() throws {
        registry = try RegistryServer()
        here = try Machine()
        there = try Machine()
    }

    private func name(_ text: String) -> String { registry.host + "/" + text }

    @Test("what is pulled reads as what was pushed, and arrives when it is read", .timeLimit(.minutes(2)))
    func roundTrip() throws {
        var random = SplitMix(seed: 1)
        var content = random.shrinkingBytes(40 << 16)
        content.replaceSubrange(5 << 16..<7 << 16, with: [UInt8](repeating: 0, count: 2 << 16))
        let record = try here.add("image", content)
        let pushed = try here.push("image", name("team/app:v1"), PushOptions(packBytes: 1 << 20))
        #expect(pushed.newPacks == 3 && pushed.sentChunks == 38 && pushed.reusedChunks == 0)
        let pulled = try there.pull(name("team/app:v1"), as: "app")
        #expect(pulled.kind == .block && pulled.digest == pushed.digest && pulled.presentChunks == 0)
        #expect(pulled.chunks == 38 && pulled.fetchedBytes < 20_000)
        #expect(pulled.image.digest == record.digest && pulled.image.configuration == Machine.configuration)
        #expect(try there.presentBytes("app") == 0)
        expectEqual(try there.content("app"), content)
        #expect(try there.presentBytes("app") == 38 << 16)
    }

    @Test("a changed block is all that a second push sends", .timeLimit(.minutes(2)))
    func incremental() throws {
        var random = SplitMix(seed: 2)
        let content = try here.addNoise("base", chunks: 400, &random)
        try here.push("base", name("app:1"))
        let change = random.shrinkingBytes(3 * Block.bytes)
        try here.change("base", into: "next", writing: change, at: 100 * 4096)
        let report = try here.push("next", name("app:2"))
        #expect(report.mapIsDifference && report.newPacks == 1)
        #expect(report.sentPlainBytes <= 16 * 4096 && report.sentBytes < 16 * 4096 + 4000)
        try there.pull(name("app:2"), as: "next")
        var wanted = content
        wanted.replaceSubrange(100 * 4096..<103 * 4096, with: change)
        expectEqual(try there.content("next"), wanted)
        let again = try here.push("next", name("app:2"))
        #expect(again.newPacks == 0 && again.mapBytes == 0 && again.sentBytes < 4000)
        #expect(again.digest == report.digest)
    }

    @Test("differences form a chain that ends in a whole map", .timeLimit(.minutes(4)))
    func chain() throws {
        var random = SplitMix(seed: 3)
        var content = try here.addNoise("image0", chunks: 100, &random)
        try here.push("image0", name("app:0"))
        var wholeMaps = 0
        for round in 1...10 {
            let change = random.shrinkingBytes(Block.bytes)
            let block = random.below(1600)
            content.replaceSubrange(block * 4096..<(block + 1) * 4096, with: change)
            try here.change(
                "image\(round - 1)", into: "image\(round)", writing: change, at: UInt64(block) * 4096)
            let report = try here.push("image\(round)", name("app:\(round)"))
            #expect(report.mapIsDifference || round > MapBlob.maximumChain, "round \(round)")
            if !report.mapIsDifference { wholeMaps += 1 }
            #expect(report.sentPlainBytes <= 16 * 4096)
        }
        #expect(wholeMaps == 1)
        let report = try there.pull(name("app:10"), as: "last")
        #expect(report.kind == .block)
        expectEqual(try there.content("last"), content)
    }

    @Test("an image that was pulled lazily is pushed on without being fetched", .timeLimit(.minutes(2)))
    func pushOfLazy() throws {
        var random = SplitMix(seed: 4)
        var content = try here.addNoise("base", chunks: 64, &random)
        try here.push("base", name("app:1"))
        try there.pull(name("app:1"), as: "base")
        let change = random.shrinkingBytes(16 * Block.bytes)
        try there.change("base", into: "next", writing: change, at: 32 * 4096)
        let report = try there.push("next", name("app:2"))
        #expect(report.sentPlainBytes == 16 * 4096 && report.mapIsDifference)
        #expect(try there.presentBytes("base") == 0)
        content.replaceSubrange(32 * 4096..<48 * 4096, with: change)
        try here.pull(name("app:2"), as: "next")
        expectEqual(try here.content("next"), content)
    }

    @Test(
        "packs of a sibling repository are mounted; to another registry they are sent",
        .timeLimit(.minutes(2)))
    func siblings() throws {
        var random = SplitMix(seed: 5)
        let content = try here.addNoise("base", chunks: 48, &random)
        try here.push("base", name("first:1"), PushOptions(packBytes: 1 << 20))
        let mounted = try here.push("base", name("second/name:1"))
        #expect(mounted.mountedPacks == 3 && mounted.newPacks == 0 && mounted.sentBytes < 20_000)
        expectEqual(
            try {
                try there.pull(name("second/name:1"), as: "a"); return try there.content("a")
            }(), content)
        // A machine that has nothing of it but the places fetches what the other registry needs.
        let lazy = try Machine()
        try lazy.pull(name("first:1"), as: "lazy")
        let other = try RegistryServer()
        let sent = try lazy.push("lazy", other.host + "/app:1")
        #expect(sent.mountedPacks == 0 && sent.sentChunks == 48)
        let third = try Machine()
        try third.pull(other.host + "/app:1", as: "b")
        registry.stop()
        expectEqual(try third.content("b"), content)
    }

    @Test("an interrupted push shows nothing, and what it sent is not sent again", .timeLimit(.minutes(2)))
    func interrupted() throws {
        var random = SplitMix(seed: 6)
        let content = try here.addNoise("base", chunks: 128, &random)
        // Two packs of 1 MiB are under way at most, so by then one has arrived whole.
        let enough: UInt64 = 5 << 19
        let done = Lock(UInt64(0))
        let error = try failure {
            try here.push(
                "base", name("app:1"), PushOptions(packBytes: 1 << 20),
                isCancelled: { done.withLock { $0 } > enough },
                progress: { progress in
                    if progress.phase == .packs { done.withLock { $0 = progress.doneBytes } }
                })
        }
        guard case .cancelled = error else { throw error }
        guard case .notFound = try failure({ try there.pull(name("app:1")) }) else {
            Issue.record("the image is visible")
            return
        }
        let report = try here.push("base", name("app:1"), PushOptions(packBytes: 1 << 20))
        #expect(report.presentPacks >= 1 && report.presentPacks < 8 && report.newPacks == 8)
        try there.pull(name("app:1"), as: "app")
        expectEqual(try there.content("app"), content)
    }

    @Test("what lies under the tag and is no image of ours does no harm", .timeLimit(.minutes(2)))
    func strangeTag() throws {
        var random = SplitMix(seed: 7)
        let content = try here.addNoise("base", chunks: 16, &random)
        let client = here.clients.registry.repository(try Reference(parsing: name("app:1")))
        let empty = Array("{}".utf8)
        try client.upload(Digest(hashing: empty), bytes: empty)
        let descriptor = Descriptor(mediaType: MediaType.ociConfiguration, of: empty)
        let manifest = try ManifestWriter.manifest(
            Manifest(
                configuration: descriptor, layers: [descriptor], artifactType: BlockImage.artifactType))
        _ = try client.putManifest(manifest, mediaType: MediaType.ociManifest, as: "1")
        guard case .badArtifact = try failure({ try there.pull(name("app:1"), as: "x") }) else {
            Issue.record("a manifest that is no image was believed")
            return
        }
        try here.push("base", name("app:1"))
        try there.pull(name("app:1"), as: "x")
        expectEqual(try there.content("x"), content)
    }

    @Test("block images are mounted only of those who are trusted", .timeLimit(.minutes(2)))
    func policy() throws {
        var random = SplitMix(seed: 8)
        try here.addNoise("base", chunks: 4, &random)
        try here.push("base", name("team/app:1"))
        func pull(_ policy: BlockImagePolicy) throws {
            try there.pull(name("team/app:1"), as: "x", PullOptions(policy: policy))
        }
        let error = try failure { try pull(.nobody) }
        guard case .untrusted = error else { throw error }
        #expect("\(error)".contains("trusted"))
        #expect(throws: DistributionError.self) { try pull(.places(["registry.example.test"])) }
        #expect(throws: DistributionError.self) { try pull(.places([name("tea")])) }
        try pull(.places([name("team")]))
        try pull(.places([registry.host]))
    }

    @Test("a block image is found through the ordinary image that it is attached to", .timeLimit(.minutes(2)))
    func attached() throws {
        var random = SplitMix(seed: 9)
        let content = try here.addNoise("base", chunks: 16, &random)
        let client = here.clients.registry.repository(try Reference(parsing: name("app:1")))
        try client.upload(Digest(hashing: Machine.configuration), bytes: Machine.configuration)
        let ordinary = try ManifestWriter.manifest(
            Manifest(
                configuration: Descriptor(
                    mediaType: MediaType.ociConfiguration, of: Machine.configuration), layers: []))
        _ = try client.putManifest(ordinary, mediaType: MediaType.ociManifest, as: "1")
        let subject = Descriptor(mediaType: MediaType.ociManifest, of: ordinary)
        try here.push("base", name("app:1"), PushOptions(subject: subject))
        let report = try there.pull(name("app:1"), as: "x")
        #expect(report.kind == .block)
        expectEqual(try there.content("x"), content)
    }
}
