// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// Mounts ext4 file systems that lie in block files.
///
/// Blocks; meant for a short-lived process of its own, since a file server must never wait for its own mount.
public enum Ext4Mount {
    /// A mount that was made.
    public struct Mounted: Sendable, Equatable, Codable {
        public let directory: String
        /// The loop device under it, such as `/dev/loop3`.
        public let device: String
    }

    /// Seconds that `unmount` waits for the loop device to clear itself.
    public static let releaseSeconds = 5.0

    /// Mounts a block file on an existing directory.
    ///
    /// On any failure the loop device is free again and the directory as it was. Options stay the kernel's
    /// defaults (relatime, data=ordered); a read-only mount does not replay the journal, because many may
    /// share the one file, which nobody may write.
    /// - Parameters:
    ///   - readAhead: kilobytes that the kernel reads ahead.
    ///   - options: further ext4 options, comma-separated.
    public static func mount(
        image file: String, at directory: String, readOnly: Bool = false,
        readAhead: Int = LoopDevice.readAheadKilobytes, options: String = ""
    ) throws(MountsError) -> Mounted {
        let place = try resolve(directory)
        let device = try LoopDevice.attach(file, readOnly: readOnly, readAhead: readAhead)
        var words = options.split(separator: ",").map(String.init)
        if readOnly { words.append("noload") }
        let flags = readOnly ? UInt(MS_RDONLY) : 0
        if CLinux.mount(device.path, place, "ext4", flags, words.joined(separator: ",")) < 0 {
            if errno == EINVAL || errno == EUCLEAN { throw .notExt4(image: file) }
            throw .last("mount", place)
        }
        return Mounted(directory: place, device: device.path)
    }

    /// Shows a mounted directory at a second place; with `readOnly` nobody can write through that place.
    public static func bind(
        _ source: String, at directory: String, readOnly: Bool = false
    ) throws(MountsError) {
        let place = try resolve(directory)
        if CLinux.mount(source, place, nil, UInt(MS_BIND), nil) < 0 { throw .last("mount", place) }
        guard readOnly else { return }
        let flags = UInt(MS_BIND | MS_REMOUNT | MS_RDONLY)
        if CLinux.mount(nil, place, nil, flags, nil) < 0 {
            let failure = MountsError.last("mount", place)
            umount2(place, Int32(MNT_DETACH))
            throw failure
        }
    }

    /// Takes away what is mounted on top at a directory, and waits until its loop device is free again.
    ///
    /// The loop device of a file system that is also mounted elsewhere, in a bind mount or in another mount
    /// namespace, lives on until the last of those goes; that is no error.
    /// - Parameter lazily: out of sight at once, gone when the last user lets go.
    public static func unmount(_ directory: String, lazily: Bool = false) throws(MountsError) {
        let place = try resolve(directory, follow: false)
        guard let entry = try MountTable.current().entry(at: place) else {
            throw .notMounted(directory: place)
        }
        if umount2(place, lazily ? Int32(MNT_DETACH) : 0) < 0 {
            switch errno {
            case EBUSY: throw .busy(directory: place, holder: ProcessScan.holder(of: place))
            case EINVAL: throw .notMounted(directory: place)
            default: throw .last("umount", place)
            }
        }
        guard !lazily, entry.source.hasPrefix("/dev/loop"), let number = Int32(entry.source.dropFirst(9)),
            let file = LoopDevice.backingFile(number: number)
        else { return }
        let elsewhere = try MountTable.current().entries(ofDevice: entry.source)
        if elsewhere.isEmpty {
            _ = LoopDevice.waitUntilFree(number: number, file: file, seconds: releaseSeconds)
        }
    }

    /// The path without links, as the mount table has it.
    ///
    /// The last component is followed for a new mount only: looking at a dead mount's root would fail, and at
    /// a stalled one hang.
    static func resolve(_ directory: String, follow: Bool = true) throws(MountsError) -> String {
        if directory.isEmpty { throw .invalid(what: "directory", value: "''", reason: "empty path") }
        if !follow {
            let trimmed = trimmingSlashes(directory)
            let parent = Directories.parent(of: trimmed)
            let name = trimmed.split(separator: "/").last.map(String.init) ?? ""
            if name != "" && name != "." && name != ".." {
                let base = try realPath(parent)
                return base == "/" ? "/" + name : base + "/" + name
            }
        }
        return try realPath(directory)
    }

    private static func trimmingSlashes(_ path: String) -> String {
        var path = path
        while path.count > 1 && path.hasSuffix("/") { path.removeLast() }
        return path
    }

    private static func realPath(_ path: String) throws(MountsError) -> String {
        guard let resolved = realpath(path, nil) else { throw .last("realpath", path) }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
