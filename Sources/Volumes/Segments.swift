// SPDX-License-Identifier: Apache-2.0

public import Base
public import ChunkStore
import Glibc

/// Reading through segments by plain positioned reads, for whoever does not splice.
public enum Segments {
    /// The bytes of the segments, one after the other.
    ///
    /// Call it inside the body that got them. Errors: ENODATA when a chunk among them has not been fetched.
    public static func read(_ segments: [Segment]) throws(SystemError) -> [UInt8] {
        let result = segments.withUnsafeBufferPointer { segments -> Result<[UInt8], SystemError> in
            Result { () throws(SystemError) in try read(segments) }
        }
        return try result.get()
    }

    /// The same for the segments of a view.
    public static func read(_ segments: UnsafeBufferPointer<Segment>) throws(SystemError) -> [UInt8] {
        let count = segments.reduce(0) { $0 + $1.byteCount }
        var failure: SystemError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            var done = 0
            for segment in segments {
                let part = UnsafeMutableRawBufferPointer(
                    rebasing: UnsafeMutableRawBufferPointer(buffer)[done..<done + segment.byteCount])
                do throws(SystemError) { try read(segment, into: part) } catch { failure = error }
                done += segment.byteCount
            }
            filled = count
        }
        if let failure { throw failure }
        return bytes
    }

    private static func read(_ segment: Segment, into part: UnsafeMutableRawBufferPointer) throws(SystemError)
    {
        switch segment.source {
        case .zeros: part.initializeMemory(as: UInt8.self, repeating: 0)
        case .absent: throw SystemError(ENODATA, "read", "a chunk that has not been fetched")
        case .file(let descriptor, let offset):
            var done = 0
            while done < part.count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: part[done...])
                let count = retrying {
                    pread(descriptor, rest.baseAddress, rest.count, off_t(offset) + off_t(done))
                }
                if count < 0 { throw SystemError.last("pread", "descriptor \(descriptor)") }
                if count == 0 { throw SystemError(EIO, "pread", "descriptor \(descriptor)") }
                done += count
            }
        }
    }
}
