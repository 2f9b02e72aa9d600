// SPDX-License-Identifier: Apache-2.0

import Base
import OCI
import Testing

/// Archives that tools write, and archives that are broken.
@Suite struct ArchiveTests {
    /// A real image of two layers in a layout `oci`, made by umoci.
    private static let make = """
        umoci init --layout oci; umoci new --image oci:one; umoci unpack --image oci:one bundle
        mkdir bundle/rootfs/etc; echo hello > bundle/rootfs/etc/greeting
        umoci repack --image oci:one bundle; rm -rf bundle
        umoci unpack --image oci:one bundle; echo more > bundle/rootfs/more; umoci repack --image oci:one bundle
        umoci config --image oci:one --config.cmd /bin/true
        """

    private func shell(_ layout: LayoutFixture, _ script: String) throws {
        let result = try Subprocess.run(["timeout", "100", "sh", "-euc", "cd \(layout.path); " + script])
        try #require(result.succeeded, "\(result.output)\(result.errors)")
    }

    private func bytes(_ layer: LayerSource) throws -> [UInt8] {
        let stream = try layer.open()
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 1000)
        while true {
            let count = try buffer.withUnsafeMutableBytes { try stream.read(into: $0) }
            if count == 0 { return all }
            all += buffer[..<count]
        }
    }

    @Test func everyFormHoldsTheSameImage() throws {
        let layout = try LayoutFixture()
        let policy = "--insecure-policy"
        try shell(
            layout,
            Self.make + """

                skopeo \(policy) copy -q oci:oci:one docker-archive:docker.tar:example/app:1
                skopeo \(policy) copy -q oci:oci:one oci-archive:oci.tar:one
                tar -C oci -cf plain-layout.tar .
                """)
        let direct = try ImageSource.layout(directory: layout.path + "/oci", tag: "one").resolve()
        let archive = try ImageSource.layoutArchive(path: layout.path + "/oci.tar", tag: "one").resolve()
        let plain = try ImageSource.dockerArchive(path: layout.path + "/plain-layout.tar", tag: nil).resolve()
        let docker = try ImageSource.dockerArchive(path: layout.path + "/docker.tar", tag: "example/app:1")
            .resolve()
        #expect(direct.layers.count == 2)
        #expect(direct.layers[0].compression == .gzip)
        #expect(direct.configuration.config?.command == ["/bin/true"])
        for other in [archive, plain] {
            #expect(other.configurationBytes == direct.configurationBytes)
            #expect(other.layers.map(\.digest) == direct.layers.map(\.digest))
        }
        #expect(docker.configuration.rootfs == direct.configuration.rootfs)
        #expect(docker.layers.map(\.diffID) == direct.layers.map(\.diffID))
        for layer in archive.layers + docker.layers {
            #expect(Digest(hashing: try bytes(layer)) == layer.digest)
        }
        #expect(throws: OCIError.self) {
            try ImageSource.dockerArchive(path: layout.path + "/docker.tar", tag: "example/app:2").resolve()
        }
    }

    @Test func brokenArchivesAreRefused() throws {
        let layout = try LayoutFixture()
        try layout.index([try layout.simpleManifest()])
        let script = """
            tar -cf good.tar oci-layout index.json blobs; head -c 2000 good.tar > short.tar
            gzip -c good.tar > packed.tar; cp good.tar flipped.tar
            printf X | dd of=flipped.tar bs=1 seek=20 conv=notrunc status=none
            : > empty.tar; tar -cf none.tar oci-layout; head -c 10000 /dev/zero | tr '\\0' x > text.tar
            """
        try shell(layout, script)
        func resolve(_ name: String) throws -> ResolvedImage {
            try ImageSource.layoutArchive(path: layout.path + "/" + name, tag: nil).resolve()
        }
        #expect(try resolve("good.tar").layers.count == 1)
        let table = [
            ("short.tar", "ends"), ("packed.tar", "compressed with gzip"), ("flipped.tar", "not a tar"),
            ("empty.tar", "not a tar"), ("none.tar", "index.json"), ("text.tar", "not a tar"),
            ("absent.tar", "no such"),
        ]
        for (name, word) in table {
            let error = #expect(throws: OCIError.self) { try resolve(name) }
            #expect(error?.description.contains(word) == true, "\(name): \(error?.description ?? "")")
        }
    }

    @Test func rootFileSystemsAreToldByTheirBytes() throws {
        let layout = try LayoutFixture()
        try shell(layout, "tar -cf r.tar oci-layout; gzip -k r.tar; zstd -q r.tar")
        let table: [(String, LayerCompression)] = [
            ("r.tar", .none), ("r.tar.gz", .gzip), ("r.tar.zst", .zstd),
        ]
        for (name, compression) in table {
            let image = try ImageSource.rootFileSystem(path: layout.path + "/" + name).resolve()
            #expect(image.layers.map(\.compression) == [compression])
            #expect(image.configuration.os == "linux")
            #expect(!image.configurationBytes.isEmpty)
        }
    }
}
