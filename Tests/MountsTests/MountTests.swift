// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Testing

@testable import Mounts

@Suite struct MountTests {
    @Test func aLoopDeviceGoesWithItsLastUser() throws {
        let directory = try TestDirectory()
        let image = try directory.ext4Image()
        do {
            let device = try LoopDevice.attach(image, readOnly: true, readAhead: 512)
            #expect(try directory.loops() == [LoopUse(number: device.number, file: image, directories: [])])
            let queue = "/sys/block/loop\(device.number)/"
            #expect(try File.small(queue + "loop/dio") == Array("1\n".utf8))
            #expect(try File.small(queue + "loop/autoclear") == Array("1\n".utf8))
            #expect(try File.small(queue + "queue/logical_block_size") == Array("4096\n".utf8))
            #expect(try File.small(queue + "queue/read_ahead_kb") == Array("512\n".utf8))
            #expect(try File.small(queue + "ro") == Array("1\n".utf8))
        }
        #expect(try waitUntilNoLoops(directory))
        #expect(
            mountsError { _ = try LoopDevice.attach(image + "x") }
                == .system(SystemError(ENOENT, "open", image + "x")))
    }

    @Test func aMountIsMadeAndTakenAway() throws {
        let directory = try TestDirectory()
        let (image, place) = (try directory.ext4Image(), try directory.make("mnt"))
        let mounted = try Ext4Mount.mount(image: image, at: place + "/../mnt/")
        #expect(mounted.directory == place)
        #expect(try MountTable.current().entry(at: place)?.source == mounted.device)
        try File(open: place + "/file", O_WRONLY | O_CREAT).write([1, 2, 3], at: 0)
        try Ext4Mount.unmount(place)
        #expect(try directory.loops().isEmpty)
        #expect(mountsError { try Ext4Mount.unmount(place) } == .notMounted(directory: place))
        _ = try Ext4Mount.mount(image: image, at: place, readOnly: true)
        let shared = try directory.make("shared")
        try Ext4Mount.bind(place, at: shared, readOnly: true)
        #expect(try File(open: shared + "/file", O_RDONLY).read(count: 9, at: 0) == [1, 2, 3])
        #expect(throws: SystemError(EROFS, "open", place + "/file")) {
            try File(open: place + "/file", O_WRONLY)
        }
        try Ext4Mount.unmount(place)
        #expect(try directory.loops().count == 1)
        try Ext4Mount.unmount(shared)
        #expect(try directory.loops().isEmpty)
    }

    @Test func aReadOnlyViewOfAWritableMountCannotWrite() throws {
        let directory = try TestDirectory()
        let (image, place) = (try directory.ext4Image(), try directory.make("mnt"))
        let view = try directory.make("view")
        _ = try Ext4Mount.mount(image: image, at: place)
        try Ext4Mount.bind(place, at: view, readOnly: true)
        #expect(throws: SystemError(EROFS, "open", view + "/f")) {
            try File(open: view + "/f", O_WRONLY | O_CREAT)
        }
        try File(open: place + "/f", O_WRONLY | O_CREAT).write([1], at: 0)
    }

    @Test func whatIsNotExt4LeavesNothingBehind() throws {
        let directory = try TestDirectory()
        let (file, place) = (directory.path + "/zeros", try directory.make("mnt"))
        try File(open: file, O_RDWR | O_CREAT).truncate(to: 8 << 20)
        #expect(mountsError { _ = try Ext4Mount.mount(image: file, at: place) } == .notExt4(image: file))
        #expect(try waitUntilNoLoops(directory))
        let missing = mountsError { _ = try Ext4Mount.mount(image: file, at: place + "/missing") }
        #expect(missing == .system(SystemError(ENOENT, "realpath", place + "/missing")))
        #expect(try MountTable.current().entry(at: place) == nil)
    }

    @Test func aBusyMountNamesItsUser() throws {
        let directory = try TestDirectory()
        let (image, place) = (try directory.ext4Image(), try directory.make("mnt"))
        _ = try Ext4Mount.mount(image: image, at: place)
        let null = try OwnedFD(open: "/dev/null", O_RDWR)
        let child = try Subprocess.spawn(
            ["sh", "-c", "cd \(place) && exec sleep 60"], output: null.raw, errors: null.raw)
        defer {
            kill(child, SIGKILL)
            _ = try? Subprocess.wait(for: child, "sleep")
        }
        for _ in 0..<2000 where ProcessScan.linkText("/proc/\(child)/cwd") != place { usleep(1000) }
        let error = mountsError { try Ext4Mount.unmount(place) }
        guard case .busy(place, let holder?) = error else {
            Issue.record("\(String(describing: error))")
            return
        }
        #expect(holder.hasSuffix("(process \(child))"))
        try Ext4Mount.unmount(place, lazily: true)
        #expect(try MountTable.current().entry(at: place) == nil)
    }

    @Test func aFreezeHoldsWritersUp() throws {
        let directory = try TestDirectory()
        let (image, place) = (try directory.ext4Image(), try directory.make("mnt"))
        _ = try Ext4Mount.mount(image: image, at: place)
        let wrote = Lock(false)
        let writer = try Freeze.run(place) { () throws(MountsError) -> NamedThread in
            let thread = try MountsError.wrapping { () throws(SystemError) in
                try NamedThread("writer") {
                    _ = try? File(open: place + "/f", O_WRONLY | O_CREAT)
                    wrote.withLock { $0 = true }
                }
            }
            usleep(200_000)
            #expect(wrote.withLock { $0 } == false)
            return thread
        }
        writer.join()
        #expect(Directories.exists(place + "/f"))
        #expect(
            mountsError { try Freeze.run(place) { () throws(MountsError) in throw .noCommand } } == .noCommand
        )
        let late = mountsError {
            try Freeze.run(place, guardSeconds: 0.2) { () throws(MountsError) -> Void in _ = usleep(600_000) }
        }
        #expect(late == .freezeExpired(directory: place, seconds: 0.2))
        _ = try File(open: place + "/g", O_WRONLY | O_CREAT)
        try Freeze.thaw(place)
    }

    /// The kernel clears a device a moment after its last close.
    private func waitUntilNoLoops(_ directory: TestDirectory) throws -> Bool {
        for _ in 0..<2000 {
            if try directory.loops().isEmpty { return true }
            usleep(1000)
        }
        return false
    }
}
