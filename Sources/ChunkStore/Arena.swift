// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import CLinux
import Glibc
import Synchronization

/// One file of at most 4 GiB that holds plain chunks in slots of whole blocks.
///
/// Space is handed out from the front to the back and never a second time: a freed slot becomes a hole that
/// the file system takes back, and a file without any chunk is deleted. So chunks of one import lie side by
/// side, no free list is needed, and a record of the index that outlived its chunk points at a hole and is
/// recognised.
final class Arena: Sendable {
    /// Arenas that can be open at once, which bounds the descriptors; together they address 16 TiB.
    static let limit = 4096
    static let maximumBlocks: UInt32 = 1 << 20

    /// The number in the file's name and in the index; never used again by another file of this store.
    let number: UInt32
    /// The place in the table of open arenas.
    let index: Int
    let file: File
    /// Held while the file is being synchronised, which may take seconds.
    private let synchronizing = Lock(())
    /// Set for good by a failed synchronisation; apart from the lock, so that writers need not wait for one.
    private let failed = Atomic<Bool>(false)

    init(number: UInt32, index: Int, path: String, create: Bool) throws(SystemError) {
        self.number = number
        self.index = index
        file = try File(open: path, create ? O_RDWR | O_CREAT | O_EXCL : O_RDWR)
    }

    static func name(_ number: UInt32) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits + ".arena"
    }

    /// The number in a file name; nil for names that are not those of arenas.
    static func number(in name: String) -> UInt32? {
        guard name.hasSuffix(".arena"), let number = UInt32(name.dropLast(6)), self.name(number) == name
        else {
            return nil
        }
        return number
    }

    var hasFailed: Bool { failed.load(ordering: .acquiring) }

    /// Makes all that was written durable.
    ///
    /// One failure is remembered for good: Linux reports it only once, and to one caller, though it concerns
    /// everybody's data.
    func synchronize(_ call: () throws(SystemError) -> Void) throws(SystemError) {
        try synchronizing.withLock { (_: inout Void) throws(SystemError) in
            if hasFailed { throw SystemError(EIO, "fdatasync", file.path) }
            do throws(SystemError) {
                try call()
            } catch {
                failed.store(true, ordering: .releasing)
                throw error
            }
        }
    }

    /// The ranges of whole blocks that the file system has data for; everything when it cannot tell.
    func dataRanges() throws(SystemError) -> [Range<UInt32>] {
        let size = try file.size()
        let blocks = UInt32(clamping: min(size / UInt64(Block.bytes), UInt64(Self.maximumBlocks)))
        var ranges: [Range<UInt32>] = []
        var offset: off_t = 0
        while offset < off_t(size) {
            let data = lseek(file.fd, offset, Int32(SLK_SEEK_DATA))
            if data < 0, errno == ENXIO { break }
            let hole = data < 0 ? -1 : lseek(file.fd, data, Int32(SLK_SEEK_HOLE))
            if data < 0 || hole < 0 {
                if errno == EINVAL { return [0..<blocks] }
                throw SystemError.last("lseek", file.path)
            }
            let first = UInt32((data + off_t(Block.bytes) - 1) / off_t(Block.bytes))
            let end = min(blocks, UInt32(hole / off_t(Block.bytes)))
            if first < end { ranges.append(first..<end) }
            offset = hole
        }
        return ranges
    }
}
