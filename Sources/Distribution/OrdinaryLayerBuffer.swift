// SPDX-License-Identifier: Apache-2.0

import Base
import OCI

/// The packed bytes of a layer between the thread that downloads it and those that read it, from its start and as
/// often as they like.
///
/// A small layer waits in memory, a larger one in a file without a name: so no download waits for a reader, and a
/// crash leaves nothing.
final class LayerBuffer: Sendable {
    private struct State {
        var memory: [UInt8] = []
        var file: File?
        var arrivedBytes: UInt64 = 0
        var isComplete = false
        var failure: OCIError?
        var readers = 0
        var isReleased = false
        var whenReleased: (@Sendable () -> Void)?
    }

    let sizeBytes: UInt64
    private let state = Monitor(State())

    init(sizeBytes: UInt64) { self.sizeBytes = sizeBytes }

    // MARK: The downloading side

    /// Says where the bytes go; nil is memory.
    /// - Parameter whenReleased: called once, after the last reader has gone.
    func prepare(_ file: File?, whenReleased: @escaping @Sendable () -> Void) {
        state.withLock { state in
            state.file = file
            state.whenReleased = whenReleased
        }
    }

    func append(_ bytes: UnsafeRawBufferPointer) throws(OCIError) {
        let (file, offset) = state.withLock { ($0.file, $0.arrivedBytes) }
        if offset + UInt64(bytes.count) > sizeBytes {
            throw .sizeMismatch(
                "layer", expected: sizeBytes, actual: offset + UInt64(bytes.count))
        }
        if let file {
            do throws(SystemError) { try file.write(bytes, at: offset) } catch { throw .system(error) }
        }
        state.withLock { state in
            if file == nil { state.memory.append(contentsOf: bytes) }
            state.arrivedBytes += UInt64(bytes.count)
        }
    }

    /// No more comes: all is there and its digest is right, or not; the first word counts.
    func finish(_ failure: OCIError?) {
        state.withLock { state in
            if state.isComplete || state.failure != nil { return }
            state.failure = failure
            state.isComplete = failure == nil
        }
    }

    // MARK: The reading side

    /// nil when the bytes have been given up: each reader before has gone.
    func open() -> (any BlobStream)? {
        let isThere = state.withLock { state in
            if state.isReleased { return false }
            state.readers += 1
            return true
        }
        return isThere ? Stream(self) : nil
    }

    /// Waits for bytes at the offset; 0 at the end, when all have been checked.
    private func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(OCIError) -> Int {
        enum Found {
            case memory(Int)
            case file(File, Int)
            case failed(OCIError)
        }
        let found: Found = state.wait { state in
            // A failure is told at once: what came before it is worth nothing.
            if let failure = state.failure { return .failed(failure) }
            let count = Int(min(UInt64(buffer.count), state.arrivedBytes - offset))
            if count == 0 { return state.isComplete ? .memory(0) : nil }
            if let file = state.file { return .file(file, count) }
            state.memory.withUnsafeBytes { all in
                let start = Int(offset)
                buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: all[start..<start + count]))
            }
            return .memory(count)
        }
        switch found {
        case .failed(let failure): throw failure
        case .memory(let count): return count
        case .file(let file, let count):
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            do throws(SystemError) { return try file.read(into: part, at: offset) } catch {
                throw .system(error)
            }
        }
    }

    /// The last reader takes the bytes with it.
    private func close() {
        let whenReleased: (@Sendable () -> Void)? = state.withLock { state in
            state.readers -= 1
            if state.readers > 0 { return nil }
            state.isReleased = true
            state.file = nil
            state.memory = []
            return state.whenReleased.take()
        }
        whenReleased?()
    }

    private final class Stream: BlobStream {
        private let buffer: LayerBuffer
        private var position: UInt64 = 0

        init(_ buffer: LayerBuffer) { self.buffer = buffer }

        deinit { buffer.close() }

        func read(into target: UnsafeMutableRawBufferPointer) throws(OCIError) -> Int {
            if target.isEmpty { return 0 }
            let count = try buffer.read(into: target, at: position)
            position += UInt64(count)
            return count
        }
    }
}
