// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Ext4
import Flatten
import Glibc
import OCI
import Testing

/// A directory of one test, with a chunk store in it, that goes with the test.
final class Fixture {
    let path: String
    let store: ChunkStore

    init() throws {
        var template = Array("/var/tmp/slacker-flatten-XXXXXX".utf8CString)
        let made = try #require(mkdtemp(&template))
        path = String(cString: made)
        store = try ChunkStore(directory: path + "/chunks")
    }

    deinit { _ = try? Subprocess.run(["rm", "-rf", path]) }

    /// Small, so that tests are quick.
    static let options = FormatOptions(sizeBytes: 512 << 20, journalBytes: 4 << 20)

    /// An image of plain layers, lowest first.
    static func image(
        _ layers: [[UInt8]], compression: LayerCompression = .none, diffIDs: [Digest]? = nil
    ) -> ResolvedImage {
        let sources = layers.enumerated().map { index, bytes in
            let digest = Digest(hashing: bytes)
            let diffID = diffIDs?[index] ?? (compression == .none ? digest : nil)
            return LayerSource(
                name: "layer\(index)", compression: compression, digest: digest, diffID: diffID,
                sizeBytes: UInt64(bytes.count), open: { () throws(OCIError) in MemoryStream(bytes) })
        }
        return ResolvedImage(
            configuration: ImageConfiguration(platform: .host), configurationBytes: [], layers: sources)
    }

    func flatten(_ image: ResolvedImage, limits: ImportLimits = ImportLimits()) throws -> FlattenedImage {
        let session = store.beginIngest()
        do {
            let result = try Importer.run(image, into: session, options: Self.options, limits: limits)
            try session.commit()
            return result
        } catch {
            session.release()
            throw error
        }
    }

    /// Writes the volume as a sparse file.
    func writeImage(_ map: BlockMap) throws -> String {
        let name = path + "/volume.ext4"
        let file = try File(open: name, O_RDWR | O_CREAT | O_TRUNC)
        try file.truncate(to: map.sizeBytes)
        for extent in map.extents {
            let bytes = try store.read(map.chunks[Int(extent.chunk)])
            let start = Int(extent.offset) * Block.bytes
            let part = Array(bytes[start..<start + Int(extent.count) * Block.bytes])
            try file.write(part, at: UInt64(extent.start) * UInt64(Block.bytes))
        }
        return name
    }

    func write(_ bytes: [UInt8], as name: String) throws -> String {
        let file = try File(open: path + "/" + name, O_WRONLY | O_CREAT | O_TRUNC)
        try file.write(bytes, at: 0)
        return file.path
    }

    func read(_ name: String) throws -> [UInt8] {
        let file = try File(open: path + "/" + name, O_RDONLY)
        return try file.read(count: Int(try file.size()), at: 0)
    }

    /// Runs a shell script in the directory; it must succeed.
    @discardableResult
    func shell(_ script: String) throws -> String {
        let result = try Subprocess.run(["timeout", "120", "sh", "-euc", "cd \(path); " + script])
        try #require(result.succeeded, "\(result.output)\(result.errors)")
        return result.output
    }

    /// Flattens the layers, checks the file system and compares it with an overlay mount of the unpacked layers.
    func expectUnion(_ layers: [[UInt8]], sourceLocation: SourceLocation = #_sourceLocation) throws {
        let result = try flatten(Self.image(layers))
        let image = try writeImage(result.map)
        var names: [String] = []
        for (index, layer) in layers.enumerated() { names.append(try write(layer, as: "layer\(index).tar")) }
        let script = try write(Array(referenceScript.utf8), as: "reference.py")
        let check = try Subprocess.run(["timeout", "60", "e2fsck", "-fn", image])
        #expect(check.succeeded, "\(check.output)\(check.errors)", sourceLocation: sourceLocation)
        let compared = try Subprocess.run(
            ["timeout", "120", "unshare", "-m", "python3", script, "compare", path, image] + names)
        #expect(
            compared.succeeded && compared.output == "equal\n", "\(compared.output)\(compared.errors)",
            sourceLocation: sourceLocation)
    }

    /// The image is refused with an error whose text holds all the words.
    func expectRefusal(
        _ image: ResolvedImage, _ words: [String], limits: ImportLimits = ImportLimits(),
        sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
        do {
            _ = try flatten(image, limits: limits)
            Issue.record("was accepted", sourceLocation: sourceLocation)
        } catch let error as FlattenError {
            let text = error.description
            for word in words { #expect(text.contains(word), "\(text)", sourceLocation: sourceLocation) }
            #expect(!text.unicodeScalars.contains { $0.value < 0x20 }, sourceLocation: sourceLocation)
        }
        store.collectUnreferenced()
        #expect(store.statistics().chunks == 0, "chunks are left behind", sourceLocation: sourceLocation)
    }
}

private final class MemoryStream: BlobStream {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws(OCIError) -> Int {
        let count = min(buffer.count, bytes.count - position)
        bytes.withUnsafeBytes { all in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[position..<position + count]))
        }
        position += count
        return count
    }
}
