// SPDX-License-Identifier: Apache-2.0

import Base
import OCI

/// The packed bytes of a layer as they come, counted and hashed.
final class PackedInput {
    private static let bufferBytes = 1 << 20

    let layer: LayerSource
    /// The bytes that were read last and that the unpacker has not used.
    private(set) var pending: UnsafeRawBufferPointer
    private let buffer: UnsafeMutableRawBufferPointer
    private let stream: any BlobStream
    private var hasher = DigestHasher()
    private let onRead: @Sendable (Int) -> Void
    private(set) var totalBytes: UInt64 = 0

    init(_ layer: LayerSource, onRead: @escaping @Sendable (Int) -> Void) throws(FlattenError) {
        self.layer = layer
        self.onRead = onRead
        do throws(OCIError) { stream = try layer.open() } catch { throw .image(error) }
        buffer = .allocate(byteCount: Self.bufferBytes, alignment: 64)
        pending = UnsafeRawBufferPointer(rebasing: buffer[..<0])
    }

    deinit { buffer.deallocate() }

    /// Reads more when nothing is pending; false at the end of the layer.
    func fill() throws(FlattenError) -> Bool {
        if !pending.isEmpty { return true }
        let count = try read(into: buffer)
        pending = UnsafeRawBufferPointer(rebasing: buffer[..<count])
        if layer.digest != nil { hasher.update(pending) }
        return count > 0
    }

    func consume(_ count: Int) {
        pending = UnsafeRawBufferPointer(rebasing: pending[count...])
    }

    /// Reads past `pending` and past the hash: for layers whose packed bytes are the plain ones.
    func read(into target: UnsafeMutableRawBufferPointer) throws(FlattenError) -> Int {
        let count: Int
        do throws(OCIError) { count = try stream.read(into: target) } catch { throw .image(error) }
        totalBytes += UInt64(count)
        if totalBytes > layer.sizeBytes {
            throw .sizeMismatch(layer.name, expected: layer.sizeBytes, actual: totalBytes)
        }
        onRead(count)
        return count
    }

    /// Checks length and digest, once all has been read.
    /// - Parameter plainDigest: of a layer that is not packed; its bytes are hashed elsewhere, once.
    func verify(plainDigest: Digest?) throws(FlattenError) {
        if totalBytes != layer.sizeBytes {
            throw .sizeMismatch(layer.name, expected: layer.sizeBytes, actual: totalBytes)
        }
        guard let expected = layer.digest else { return }
        let actual = plainDigest ?? hasher.digest()
        if actual != expected { throw .digestMismatch(layer.name, what: "digest", actual: actual) }
    }
}
