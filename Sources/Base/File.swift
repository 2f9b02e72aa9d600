// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// An open file with its path, for positioned reads and writes that either do everything or throw.
///
/// Safe to use from several threads at once: it holds no position.
public final class File: Sendable {
    public let path: String
    private let descriptor: OwnedFD

    public var fd: Int32 { descriptor.raw }

    public init(open path: String, _ flags: Int32, mode: UInt32 = 0o600) throws(SystemError) {
        self.path = path
        self.descriptor = try OwnedFD(open: path, flags, mode: mode)
    }

    /// Bytes that a caller sees as the length of the file.
    public func size() throws(SystemError) -> UInt64 {
        try status().sizeBytes
    }

    /// Length and space that is really taken.
    public func status() throws(SystemError) -> (sizeBytes: UInt64, allocatedBytes: UInt64) {
        var info = stat()
        if fstat(fd, &info) < 0 { throw SystemError.last("fstat", path) }
        return (UInt64(info.st_size), UInt64(info.st_blocks) * 512)
    }

    /// Reads until the buffer is full or the file ends; returns the bytes read.
    public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SystemError) -> Int
    {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
            let count = retrying { pread(fd, rest.baseAddress, rest.count, off_t(offset) + off_t(done)) }
            if count < 0 { throw SystemError.last("pread", path) }
            if count == 0 { break }
            done += count
        }
        return done
    }

    /// Reads `count` bytes, fewer at the end of the file.
    public func read(count: Int, at offset: UInt64) throws(SystemError) -> [UInt8] {
        var failure: SystemError?
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            do throws(SystemError) {
                filled = try read(into: UnsafeMutableRawBufferPointer(buffer), at: offset)
            } catch {
                failure = error
            }
        }
        if let failure { throw failure }
        return bytes
    }

    /// Writes the whole buffer.
    public func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemError) {
        var done = 0
        while done < buffer.count {
            let rest = UnsafeRawBufferPointer(rebasing: buffer[done...])
            let count = retrying { pwrite(fd, rest.baseAddress, rest.count, off_t(offset) + off_t(done)) }
            if count < 0 { throw SystemError.last("pwrite", path) }
            done += count
        }
    }

    public func write(_ bytes: [UInt8], at offset: UInt64) throws(SystemError) {
        var failure: SystemError?
        bytes.withUnsafeBytes { buffer in
            do throws(SystemError) { try write(buffer, at: offset) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Has the kernel begin to read the file into memory, and does not wait for it.
    public func prefetch() {
        _ = posix_fadvise(fd, 0, 0, POSIX_FADV_WILLNEED)
    }

    /// Makes data, and the length that is needed to read it, survive a power cut.
    ///
    /// After a failure nothing that was not synchronised before may be believed: Linux drops the dirty mark.
    public func synchronizeData() throws(SystemError) {
        if retrying({ fdatasync(fd) }) < 0 { throw SystemError.last("fdatasync", path) }
    }

    public func truncate(to size: UInt64) throws(SystemError) {
        if retrying({ ftruncate(fd, off_t(size)) }) < 0 { throw SystemError.last("ftruncate", path) }
    }

    /// Gives the range back to the file system; it reads as zeros from now on.
    public func punchHole(at offset: UInt64, count: UInt64) throws(SystemError) {
        let result = retrying { fallocate(fd, Int32(SLK_FALLOC_PUNCH_HOLE), off_t(offset), off_t(count)) }
        if result < 0 { throw SystemError.last("fallocate", path) }
    }

    /// Takes space for the range without changing what it reads as or the length of the file.
    public func allocate(at offset: UInt64, count: UInt64) throws(SystemError) {
        let result = retrying { fallocate(fd, Int32(SLK_FALLOC_KEEP_SIZE), off_t(offset), off_t(count)) }
        if result < 0 { throw SystemError.last("fallocate", path) }
    }

    /// Takes the whole-file lock that no second process can hold; false when another one has it.
    public func tryLock() throws(SystemError) -> Bool {
        if retrying({ flock(fd, Int32(SLK_LOCK_EXCLUSIVE_NOWAIT)) }) == 0 { return true }
        if errno == EWOULDBLOCK { return false }
        throw SystemError.last("flock", path)
    }
}
