// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@Suite struct FileTests {
    @Test func readsWhatWasWrittenAtItsPlace() throws {
        let directory = try TemporaryDirectory()
        let file = try File(open: directory.path + "/f", O_RDWR | O_CREAT)
        try file.write(Array("world".utf8), at: 6)
        try file.write(Array("hello ".utf8), at: 0)
        #expect(try file.read(count: 100, at: 0) == Array("hello world".utf8))
        #expect(try file.read(count: 3, at: 8) == Array("rld".utf8))
        #expect(try file.read(count: 3, at: 11) == [])
        #expect(try file.read(count: 0, at: 0) == [])
        #expect(try file.size() == 11)
    }

    @Test func errorsNameCallAndFile() throws {
        let directory = try TemporaryDirectory()
        let missing = directory.path + "/none"
        let opening = try failure { () throws(SystemError) in _ = try File(open: missing, O_RDONLY) }
        #expect(opening == SystemError(ENOENT, "open", missing))
        #expect(opening.description == "\(missing): open: no such file or directory")
        let file = try File(open: try directory.file("r"), O_RDONLY)
        let writing = try failure { () throws(SystemError) in try file.write([1], at: 0) }
        #expect(writing == SystemError(EBADF, "pwrite", file.path))
        let resizing = try failure { () throws(SystemError) in try file.truncate(to: 1) }
        #expect(resizing.call == "ftruncate")
    }

    @Test func readingADirectoryFails() throws {
        let directory = try TemporaryDirectory()
        let file = try File(open: directory.path, O_RDONLY)
        let error = try failure { () throws(SystemError) in _ = try file.read(count: 1, at: 0) }
        #expect(error == SystemError(EISDIR, "pread", directory.path))
    }

    @Test func holesReadAsZerosAndTakeNoSpace() throws {
        let directory = try TemporaryDirectory()
        let file = try File(open: directory.path + "/f", O_RDWR | O_CREAT)
        try file.write([UInt8](repeating: 7, count: 1 << 20), at: 0)
        try file.synchronizeData()
        let before = try file.status()
        try file.punchHole(at: 4096, count: 1 << 19)
        let after = try file.status()
        #expect(after.sizeBytes == before.sizeBytes)
        #expect(after.allocatedBytes < before.allocatedBytes)
        #expect(
            try file.read(count: 8192, at: 0) == [UInt8](repeating: 7, count: 4096)
                + [UInt8](repeating: 0, count: 4096))
    }

    @Test func allocationChangesNeitherContentNorLength() throws {
        let directory = try TemporaryDirectory()
        let file = try File(open: try directory.file("f", "abc"), O_RDWR)
        try file.allocate(at: 0, count: 1 << 20)
        let status = try file.status()
        #expect(status.sizeBytes == 3)
        #expect(status.allocatedBytes >= 1 << 20)
        #expect(try directory.text(of: "f") == "abc")
    }

    @Test func truncationGrowsAndShrinks() throws {
        let directory = try TemporaryDirectory()
        let file = try File(open: try directory.file("f", "abcdef"), O_RDWR)
        try file.truncate(to: 2)
        try file.truncate(to: 4)
        #expect(try file.read(count: 9, at: 0) == [97, 98, 0, 0])
    }

    @Test func aFullDeviceIsAnError() throws {
        let file = try File(open: "/dev/full", O_WRONLY)
        let error = try failure { () throws(SystemError) in try file.write([1, 2, 3], at: 0) }
        #expect(error == SystemError(ENOSPC, "pwrite", "/dev/full"))
    }

    @Test func aLockHasOneHolder() throws {
        let directory = try TemporaryDirectory()
        let path = try directory.file("lock")
        let second = try File(open: path, O_RDWR)
        do {
            let first = try File(open: path, O_RDWR)
            #expect(try first.tryLock())
            #expect(try first.tryLock(), "the holder may ask again")
            #expect(try !second.tryLock())
        }
        #expect(try second.tryLock(), "the lock goes with its file")
    }
}

@Suite struct OwnedFDTests {
    private func isOpen(_ raw: Int32) -> Bool { fcntl(raw, F_GETFD) >= 0 }

    @Test func releaseKeepsTheDescriptorOpen() throws {
        let directory = try TemporaryDirectory()
        let raw = try OwnedFD(open: directory.path, O_RDONLY).release()
        #expect(isOpen(raw))
        #expect(close(raw) == 0)
    }

    @Test func theOwnerCloses() async {
        // In a process of its own: elsewhere another test could take the number in between.
        await #expect(processExitsWith: .success) {
            let raw: Int32
            do {
                let owned = try OwnedFD(open: "/dev/null", O_RDONLY)
                raw = owned.raw
                precondition(fcntl(raw, F_GETFD) == FD_CLOEXEC)
            }
            precondition(fcntl(raw, F_GETFD) < 0)
        }
    }

    @Test func aNegativeDescriptorIsAProgrammingError() async {
        await #expect(processExitsWith: .failure) { _ = OwnedFD(taking: -1) }
    }
}
