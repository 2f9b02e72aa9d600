// SPDX-License-Identifier: Apache-2.0

import Base
import Flatten
import Glibc
import OCI
import TestSupport
import Testing
import Volumes

@testable import Distribution

/// Ordinary images from and to a real registry.
@Suite(.timeLimit(.minutes(5)), .serialized) struct OrdinaryTests {
    @Test func aPulledImageIsFlattened() throws {
        let fixture = try OrdinaryFixture()
        try fixture.pushBase()
        let outcome = try fixture.pull("team/base:1", as: "base")
        #expect(outcome.report.kind == .ordinary && outcome.report.digest == outcome.manifest.digest)
        let names = try fixture.listing("base").compactMap { $0.split(separator: " ").first }
        #expect(names.contains("data/large") && names.contains("usr/link") && names.contains("etc/changed"))
        #expect(!names.contains("etc/gone"))
        #expect(try fixture.shell("ls state/incoming") == "")
        // The same again is the same image.
        #expect(try fixture.pull("team/base:1", as: "base").report.image == outcome.report.image)
    }

    /// One layer on top of the base's, in another repository; other tools take it and see the same tree.
    @Test func aChangeBecomesOneLayer() throws {
        let fixture = try OrdinaryFixture()
        try fixture.pushBase()
        _ = try fixture.pull("team/base:1", as: "base")
        try fixture.derive(
            "derived", from: "base",
            by: "echo new > etc/new; rm etc/changed; chmod 700 data; ln etc/kept data/third; mkfifo pipe")
        let report = try OrdinaryPusher.push(
            image: "derived", to: try fixture.reference("other/app:2"), clients: fixture.clients)
        #expect(report.layerCount == 3 && report.base != nil && report.reusedBlobs == 2)
        #expect(report.sentBytes < 20_000, "\(report.sentBytes)")
        _ = try fixture.pull("other/app:2", as: "again")
        #expect(try fixture.listing("again") == fixture.listing("derived"))
        try fixture.shell(
            """
            skopeo copy -q --src-tls-verify=false docker://\(fixture.server.host)/other/app:2 oci:out:2
            umoci unpack --image out:2 bundle > /dev/null 2>&1; cd bundle/rootfs
            test "$(cat etc/new)" = new; test ! -e etc/changed; test -p pipe; test "$(stat -c %a data)" = 700
            test etc/kept -ef data/third; test etc/kept -ef usr/link; cmp data/large ../../two/data/large
            """)
        let image = try OrdinaryImage.resolve(
            .tag("2"), in: fixture.clients.registry.repository(try fixture.reference("other/app:2")))
        let text = String(decoding: image.configurationBytes, as: UTF8.self)
        #expect(text.contains(#""Strange":[1,null]"#) && text.contains(#""comment":"nothing""#))
        #expect(image.configuration.history?.count == 4)
    }

    @Test func anUnchangedImageKeepsItsManifest() throws {
        let fixture = try OrdinaryFixture()
        try fixture.pushBase()
        let pulled = try fixture.pull("team/base:1", as: "base")
        let report = try OrdinaryPusher.push(
            image: "base", to: try fixture.reference("team/copy:3"), clients: fixture.clients)
        #expect(report.manifest.digest == pulled.manifest.digest && report.layer == nil)
    }

    @Test func withoutABaseTheTreeIsOneLayer() throws {
        let fixture = try OrdinaryFixture()
        try fixture.pushBase()
        _ = try fixture.pull("team/base:1", as: "base")
        try Directories.removeFile(fixture.path + "/state/ordinary-images")
        let report = try OrdinaryPusher.push(
            image: "base", to: try fixture.reference("team/whole:1"), compression: .zstd,
            clients: fixture.clients)
        #expect(report.layerCount == 1 && report.base == nil)
        _ = try fixture.pull("team/whole:1", as: "again")
        #expect(try fixture.listing("again") == fixture.listing("base"))
    }

    /// What was pulled lazily still knows the ordinary image that it was attached to.
    @Test func aChangeOfALazilyPulledImageBecomesOneLayer() throws {
        let fixture = try OrdinaryFixture()
        try fixture.pushBase()
        _ = try fixture.pull("team/base:1", as: "base")
        let pushed = try OrdinaryPusher.pushBoth(
            image: "base", to: try fixture.reference("team/both:1"), clients: fixture.clients)
        try Directories.removeFile(fixture.path + "/state/ordinary-images")
        let pulled = try Puller.pull(
            .registry(try fixture.reference("team/both:1")), as: "lazy",
            options: PullOptions(policy: .everyone), clients: fixture.clients)
        #expect(pulled.kind == .block)
        try fixture.derive("derived", from: "lazy", by: "echo new > etc/new")
        let report = try OrdinaryPusher.push(
            image: "derived", to: try fixture.reference("team/both:2"), clients: fixture.clients)
        let base = "\(pushed.ordinary.manifest.digest)"
        #expect(report.layerCount == 3 && report.base?.hasSuffix(base) == true)
        _ = try fixture.pull("team/both:2", as: "again")
        #expect(try fixture.listing("again") == fixture.listing("derived"))
    }

    @Test func aLayerThatIsGoneEndsThePull() throws {
        let fixture = try OrdinaryFixture()
        try fixture.pushBase()
        let repository = fixture.clients.registry.repository(try fixture.reference("team/base:1"))
        let image = try OrdinaryImage.resolve(.tag("1"), in: repository)
        try repository.deleteBlob(image.manifest.layers[0].digest)
        #expect(throws: DistributionError.self) { try fixture.pull("team/base:1", as: "base") }
        #expect(fixture.store.images().isEmpty)
        #expect(try fixture.shell("ls state/incoming 2>/dev/null || true") == "")
    }
}

/// Layers on their way: memory, files, failures.
@Suite(.timeLimit(.minutes(1))) struct LayerDownloadTests {
    private final class Bytes: BlobStream {
        private var left: ArraySlice<UInt8>
        private let failure: OCIError?

        init(_ bytes: [UInt8], _ failure: OCIError?) { (left, self.failure) = (bytes[...], failure) }

        func read(into buffer: UnsafeMutableRawBufferPointer) throws(OCIError) -> Int {
            let part = left.prefix(min(buffer.count, 1000))
            if part.isEmpty, let failure { throw failure }
            buffer.copyBytes(from: part)
            left = left.dropFirst(part.count)
            return part.count
        }
    }

    private static func all(_ stream: any BlobStream) throws -> [UInt8] {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 777)
        while true {
            let count = try piece.withUnsafeMutableBytes { try stream.read(into: $0) }
            if count == 0 { return bytes }
            bytes += piece[..<count]
        }
    }

    @Test(arguments: [0, 5000, 1 << 20] as [UInt64])
    func everyLayerComesWhole(_ memoryBytes: UInt64) throws {
        let contents = (0..<12).map { index in
            [UInt8](repeating: UInt8(index), count: index * 1500) + [UInt8(index)]
        }
        let layers = contents.map { Descriptor(mediaType: "", of: $0) }
        let asked = Lock(0)
        let directory = try makeTestDirectory("layers")
        defer { try? Directories.removeTree(directory) }
        let limits = LayerDownloads.Limits(parallel: 3, layerMemoryBytes: 4096, memoryBytes: memoryBytes)
        let downloads = LayerDownloads(layers, limits: limits, scratch: directory) {
            layer throws(OCIError) in
            asked.withLock { $0 += 1 }
            return Bytes(contents.first { Digest(hashing: $0) == layer.digest } ?? [], nil)
        }
        for index in layers.indices.reversed() {
            let first = try downloads.open(index)
            #expect(try Self.all(first) == contents[index])
            // Again while somebody has it: no second download.
            #expect(try Self.all(try downloads.open(index)) == contents[index])
        }
        #expect(asked.withLock { $0 } == layers.count)
        #expect(try Directories.names(in: directory).isEmpty)
    }

    @Test func oneFailureEndsAll() throws {
        let contents = (0..<4).map { [UInt8](repeating: UInt8($0), count: 10_000) }
        let layers = contents.map { Descriptor(mediaType: "", of: $0) }
        let directory = try makeTestDirectory("layers")
        defer { try? Directories.removeTree(directory) }
        let limits = LayerDownloads.Limits(parallel: 1)
        let wrong = OCIError.digestMismatch("layer", actual: "something else")
        let downloads = LayerDownloads(layers, limits: limits, scratch: directory) {
            layer throws(OCIError) in
            Bytes(
                contents.first { Digest(hashing: $0) == layer.digest } ?? [], layer == layers[2] ? wrong : nil
            )
        }
        #expect(try Self.all(try downloads.open(3)) == contents[3])
        for index in [2, 1, 0] {
            #expect(throws: wrong) { try Self.all(try downloads.open(index)) }
        }
    }
}
