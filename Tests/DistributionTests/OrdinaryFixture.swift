// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Ext4
import Flatten
import Glibc
import HTTP
import OCI
import TestSupport
import Testing
import Volumes

@testable import Distribution

/// A state directory, a real registry, and a small ordinary image in it.
final class OrdinaryFixture {
    let path: String
    let server: RegistryServer
    let store: VolumeStore
    let clients: DistributionClients

    init() throws {
        var template = Array("/var/tmp/slacker-ordinary-XXXXXX".utf8CString)
        path = String(cString: try #require(mkdtemp(&template)))
        server = try RegistryServer()
        store = try VolumeStore(root: path + "/state")
        var settings = RegistrySettings()
        settings.credentialFiles = []
        settings.dockerCertsDirectory = nil
        settings.firstDelaySeconds = 0.01
        settings.longestDelaySeconds = 0.5
        let loop = try TransferLoop()
        let registry = RegistryClient(loop: loop, settings: settings)
        clients = DistributionClients(
            store: store, loop: loop, registry: registry,
            sources: SourceFactory(loop: loop, registry: registry), engine: nil)
    }

    deinit {
        store.close()
        _ = try? Subprocess.run(["rm", "-rf", path])
    }

    func reference(_ text: String) throws -> Reference { try Reference(parsing: server.host + "/" + text) }

    @discardableResult
    func shell(_ script: String) throws -> String {
        let result = try Subprocess.run(["timeout", "120", "sh", "-euc", "cd \(path); " + script])
        try #require(result.succeeded, "\(result.output)\(result.errors)")
        return result.output
    }

    func read(_ name: String) throws -> [UInt8] {
        let file = try File(open: path + "/" + name, O_RDONLY)
        return try file.read(count: Int(try file.size()), at: 0)
    }

    /// Two layers, the upper one longer than what stays in memory, under `team/base:1`.
    func pushBase() throws {
        try shell(
            """
            mkdir -p one/etc one/usr two/etc two/data; echo lower > one/etc/kept; echo lower > one/etc/changed
            ln one/etc/kept one/usr/link; ln -s etc/kept one/sym; chmod 4711 one/etc/changed
            echo upper > two/etc/changed; : > two/etc/.wh.gone; echo x > one/etc/gone
            head -c 6000000 /dev/urandom > two/data/large
            for l in one two; do tar --format=posix --numeric-owner -C $l -cf $l.tar .; gzip -nk $l.tar; done
            """)
        let repository = clients.registry.repository(try reference("team/base:1"))
        var layers: [Descriptor] = []
        var diffIDs: [String] = []
        for name in ["one", "two"] {
            let bytes = try read(name + ".tar.gz")
            let type = "application/vnd.docker.image.rootfs.diff.tar.gzip"
            layers.append(Descriptor(mediaType: type, of: bytes))
            diffIDs.append("\(Digest(hashing: try read(name + ".tar")))")
            try repository.upload(Digest(hashing: bytes), bytes: bytes)
        }
        let configuration = Array(
            """
            {"architecture":"\(Platform.host.architecture)","os":"linux","config":{"Cmd":["sh"],"Strange":[1,null]},
            "rootfs":{"type":"layers","diff_ids":["\(diffIDs[0])","\(diffIDs[1])"]},"history":[{"comment":"one"},
            {"comment":"nothing","empty_layer":true},{"comment":"two"}]}
            """.utf8)
        try repository.upload(Digest(hashing: configuration), bytes: configuration)
        let manifest = try ManifestWriter.manifest(
            Manifest(
                configuration: Descriptor(mediaType: MediaType.ociConfiguration, of: configuration),
                layers: layers))
        try repository.putManifest(manifest, mediaType: MediaType.ociManifest, as: "1")
    }

    func pull(_ text: String, as name: String) throws -> OrdinaryPull.Outcome {
        let reference = try reference(text)
        let host = try clients.host(of: .registry(reference))
        let hosted = try #require(try host.manifest(.registry(reference)))
        return try OrdinaryPull(
            reference: reference, name: name, options: PullOptions(), clients: clients,
            meter: ProgressMeter { _ in }, isCancelled: { false }
        ).run(hosted)
    }

    /// A new image: one that is there, changed by a script in its mounted root.
    func derive(_ name: String, from image: String, by script: String) throws {
        let resident = try store.residentMap(ofImage: image)
        let blocks = OrdinaryBlocks(image, resident, clients)
        let file = try File(open: path + "/volume", O_RDWR | O_CREAT | O_TRUNC)
        try file.truncate(to: resident.sizeBytes)
        for extent in blocks.map.extents {
            try file.write(
                try blocks.read(blocks: extent.range), at: UInt64(extent.start) * UInt64(Block.bytes))
        }
        try shell(
            """
            cp --sparse=always volume before; mkdir -p mounted
            timeout 100 unshare -m sh -euc 'mount --make-rprivate /; mount -o loop volume mounted
            (cd mounted; \(script)); umount mounted'
            python3 -c 'import os
            a, b, o = os.open("before", 0), os.open("volume", 0), 0
            while True:
                try: o = os.lseek(b, o, os.SEEK_DATA) // 4096 * 4096
                except OSError: break
                if os.pread(a, 4096, o) != os.pread(b, 4096, o): print(o // 4096)
                o += 4096' > blocks
            """)
        let volume = try store.clone(image: image, as: "w")
        for line in String(decoding: try read("blocks"), as: UTF8.self).split(separator: "\n") {
            let offset = try #require(UInt64(line)) * UInt64(Block.bytes)
            let bytes = try file.read(count: Block.bytes, at: offset)
            _ = try volume.write(at: offset, count: bytes.count) { descriptor, place throws(SystemError) in
                let done = bytes.withUnsafeBytes {
                    pwrite(descriptor, $0.baseAddress, $0.count, off_t(place))
                }
                if done < 0 { throw SystemError.last("pwrite", "volume") }
                return done
            }
        }
        _ = try store.snapshot(volume: "w", as: name)
        try store.waitUntilSealed(name)
        try store.remove("w")
    }

    /// Path, kind, mode, owner, times, links and content of everything in an image.
    func listing(_ image: String) throws -> [String] {
        let reader = try Reader(OrdinaryBlocks(image, try store.residentMap(ofImage: image), clients))
        var lines: [String] = []
        var first: [UInt32: String] = [:]
        try reader.walk { path, inode in
            let name = String(decoding: path, as: UTF8.self)
            let content =
                inode.kind == .file ? try reader.read(inode, at: 0, count: Int(inode.sizeBytes)) : []
            let target = inode.kind == .symlink ? try reader.target(of: inode) : []
            let linked = inode.kind == .directory ? "" : first[inode.number, default: ""]
            first[inode.number] = name
            let facts = "\(inode.mode) \(inode.owner) \(inode.modified) \(Digest(hashing: content))"
            lines.append("\(name) \(facts) \(target) \(linked)")
        }
        return lines
    }
}
