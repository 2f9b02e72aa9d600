// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// A loop device with direct I/O and 4 KiB sectors over one file.
///
/// The device clears itself with its last user (LO_FLAGS_AUTOCLEAR), and this object is one: let it go before
/// anything is mounted and the device is free again, whatever went wrong in between. Once mounted, the mount
/// is the user that keeps it.
public final class LoopDevice: Sendable {
    /// The device's number: N of `/dev/loopN`.
    public let number: Int32
    /// The file under the device.
    public let file: String
    private let descriptor: OwnedFD

    /// The device node.
    public var path: String { Self.path(number) }

    /// Kilobytes that the kernel reads ahead on a device, by measurement: see
    /// docs/decisions/0002-fuse-answers.md.
    public static let readAheadKilobytes = 128

    /// Kilobytes of read-ahead where every block may have to be fetched first: what the kernel reads around the
    /// blocks that a start needs is then most of what crosses the network; see docs/decisions/0007-one-wait.md.
    public static let sparingReadAheadKilobytes = 32

    /// How often another process may take the free device from under us before that is an error.
    static let attachTries = 64

    /// The descriptor of the device, open while this object lives.
    var fd: Int32 { descriptor.raw }

    private init(number: Int32, file: String, descriptor: consuming OwnedFD) {
        self.number = number
        self.file = file
        self.descriptor = descriptor
    }

    /// Puts a free loop device over a file.
    ///
    /// Blocks while the file's server opens it.
    ///
    /// - Parameters:
    ///   - file: a regular file whose file system allows direct I/O.
    ///   - readAhead: kilobytes that buffered readers of the device fetch ahead.
    public static func attach(
        _ file: String, readOnly: Bool = false, readAhead: Int = readAheadKilobytes
    ) throws(MountsError) -> LoopDevice {
        precondition(readAhead >= 0, "read-ahead is a length")
        let flags = readOnly ? O_RDONLY : O_RDWR
        let backing = try MountsError.wrapping { () throws(SystemError) in try OwnedFD(open: file, flags) }
        let control = try MountsError.wrapping { () throws(SystemError) in
            try OwnedFD(open: "/dev/loop-control", O_RDWR)
        }
        for _ in 0..<attachTries {
            let number = retrying { slk_ioctl_int(control.raw, UInt(SLK_LOOP_CTL_GET_FREE), 0) }
            if number < 0 {
                if errno == ENOSPC { throw .noFreeLoopDevice(tries: 1) }
                throw .last("LOOP_CTL_GET_FREE", "/dev/loop-control")
            }
            let node = try openNode(number, flags)
            if try !configure(node.raw, backing: backing.raw, readOnly: readOnly, path(number)) { continue }
            let device = LoopDevice(number: number, file: file, descriptor: node)
            try device.requireDirectIO()
            device.setReadAhead(readAhead)
            return device
        }
        throw .noFreeLoopDevice(tries: attachTries)
    }

    /// Clears the device now if nobody else uses it; otherwise with its last user, which is no error.
    public func detach() throws(MountsError) {
        if slk_ioctl_int(fd, UInt(SLK_LOOP_CLR_FD), 0) == 0 { return }
        if errno == EBUSY || errno == ENXIO { return }
        throw .last("LOOP_CLR_FD", path)
    }

    /// Clears a device by its number, as clean-up after a process that is no more.
    ///
    /// EBUSY and a free device are no errors.
    public static func detach(number: Int32) throws(MountsError) {
        let node = try MountsError.wrapping { () throws(SystemError) in
            try OwnedFD(open: path(number), O_RDONLY)
        }
        if slk_ioctl_int(node.raw, UInt(SLK_LOOP_CLR_FD), 0) == 0 { return }
        if errno == EBUSY || errno == ENXIO { return }
        throw .last("LOOP_CLR_FD", path(number))
    }

    /// The path of the file under a device as the kernel knows it; nil when the device is free.
    ///
    /// Reads sysfs only, so a file on a stalled file system does not stop it. A removed file ends in `
    /// (deleted)`.
    public static func backingFile(number: Int32) -> String? {
        guard let bytes = try? File.small("/sys/block/loop\(number)/loop/backing_file") else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        return text.hasSuffix("\n") ? String(text.dropLast()) : text
    }

    /// Waits until the device no longer has this file under it; false when it still has after so many
    /// seconds.
    public static func waitUntilFree(number: Int32, file: String, seconds: Double) -> Bool {
        let deadline = MonotonicTime.now.advanced(bySeconds: seconds)
        while backingFile(number: number) == file {
            if MonotonicTime.now > deadline { return false }
            usleep(2000)
        }
        return true
    }

    static func path(_ number: Int32) -> String { "/dev/loop\(number)" }

    /// Opens the node, and makes it first where no devtmpfs does (a private /dev of a container).
    private static func openNode(_ number: Int32, _ flags: Int32) throws(MountsError) -> OwnedFD {
        let path = path(number)
        return try MountsError.wrapping { () throws(SystemError) in
            do throws(SystemError) { return try OwnedFD(open: path, flags) } catch {
                guard error.code == ENOENT else { throw error }
            }
            let text = String(decoding: try File.small("/sys/block/loop\(number)/dev"), as: UTF8.self)
            let parts = text.split { $0 == ":" || $0 == "\n" }.compactMap { UInt32($0) }
            guard parts.count == 2 else { throw SystemError(ENODEV, "mknod", path) }
            if slk_mknod_block(path, 0o660, parts[0], parts[1]) < 0, errno != EEXIST {
                throw SystemError.last("mknod", path)
            }
            return try OwnedFD(open: path, flags)
        }
    }

    /// False when another process was faster and has the device.
    private static func configure(
        _ node: Int32, backing: Int32, readOnly: Bool, _ path: String
    ) throws(MountsError) -> Bool {
        var configuration = loop_config()
        configuration.fd = UInt32(bitPattern: backing)
        configuration.block_size = 4096
        var flags = UInt32(LO_FLAGS_DIRECT_IO) | UInt32(LO_FLAGS_AUTOCLEAR)
        if readOnly { flags |= UInt32(LO_FLAGS_READ_ONLY) }
        configuration.info.lo_flags = flags
        if retrying({ slk_ioctl_pointer(node, UInt(SLK_LOOP_CONFIGURE), &configuration) }) == 0 {
            return true
        }
        if errno == EBUSY { return false }
        throw .last("LOOP_CONFIGURE", path)
    }

    private func requireDirectIO() throws(MountsError) {
        var info = loop_info64()
        if slk_ioctl_pointer(fd, UInt(SLK_LOOP_GET_STATUS64), &info) < 0 {
            throw .last("LOOP_GET_STATUS64", path)
        }
        if info.lo_flags & UInt32(LO_FLAGS_DIRECT_IO) == 0 { throw .noDirectIO(device: path, file: file) }
    }

    /// A missing sysfs only costs speed.
    private func setReadAhead(_ kilobytes: Int) {
        let attribute = "/sys/block/loop\(number)/queue/read_ahead_kb"
        guard let file = try? File(open: attribute, O_WRONLY) else { return }
        try? file.write(Array("\(kilobytes)".utf8), at: 0)
    }
}
