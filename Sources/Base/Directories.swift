// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// Directory and whole-file operations that need no open file.
public enum Directories {
    /// Makes the directory and its missing parents.
    public static func create(_ path: String, mode: UInt32 = 0o700) throws(SystemError) {
        if mkdir(path, mode) == 0 { return }
        switch errno {
        case EEXIST: if !isDirectory(path) { throw SystemError(ENOTDIR, "mkdir", path) }
        case ENOENT:
            guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
                throw SystemError(ENOENT, "mkdir", path)
            }
            try create(String(path[..<slash]), mode: mode)
            if mkdir(path, mode) < 0, errno != EEXIST { throw SystemError.last("mkdir", path) }
        default: throw SystemError.last("mkdir", path)
        }
    }

    /// Makes the entries of a directory (names made, renamed or removed in it) survive a power cut.
    public static func synchronize(_ path: String) throws(SystemError) {
        let directory = try OwnedFD(open: path, O_RDONLY | O_DIRECTORY)
        if retrying({ fsync(directory.raw) }) < 0 { throw SystemError.last("fsync", path) }
    }

    /// Names in a directory, without `.` and `..`, sorted by their bytes.
    public static func names(in path: String) throws(SystemError) -> [String] {
        guard let stream = opendir(path) else { throw SystemError.last("opendir", path) }
        defer { closedir(stream) }
        return rawNames(stream).map {
            String(decoding: $0.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        }
        .sorted()
    }

    /// Names as they are, which need not be UTF-8, each with its closing zero.
    private static func rawNames(_ stream: OpaquePointer) -> [[CChar]] {
        var names: [[CChar]] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) {
                    Array(UnsafeBufferPointer(start: $0, count: strlen($0) + 1))
                }
            }
            if strcmp(name, ".") != 0 && strcmp(name, "..") != 0 { names.append(name) }
        }
        return names
    }

    /// True for a directory, and for a symbolic link to one.
    public static func isDirectory(_ path: String) -> Bool {
        var info = stat()
        return stat(path, &info) == 0 && info.st_mode & S_IFMT == S_IFDIR
    }

    public static func exists(_ path: String) -> Bool {
        access(path, F_OK) == 0
    }

    /// Removes one file; that it is already gone is no error.
    public static func removeFile(_ path: String) throws(SystemError) {
        if unlink(path) < 0, errno != ENOENT { throw SystemError.last("unlink", path) }
    }

    /// Removes one empty directory; that it is already gone is no error.
    public static func removeEmpty(_ path: String) throws(SystemError) {
        if rmdir(path) < 0, errno != ENOENT { throw SystemError.last("rmdir", path) }
    }

    /// Removes a directory and all below it, without following links or crossing into another mount.
    ///
    /// A mount point, be it `path` itself or a bind mount of the same file system inside, gives EBUSY and
    /// keeps its content. That the tree is already gone is no error.
    public static func removeTree(_ path: String) throws(SystemError) {
        let above = parent(of: path)
        let name = path.split(separator: "/").last.map(String.init) ?? ""
        precondition(!["", ".", ".."].contains(name), "a tree to remove has a name of its own")
        guard exists(above) else { return }
        let directory = try OwnedFD(open: above, O_RDONLY | O_DIRECTORY)
        try remove(Array(name.utf8CString), in: directory.raw, path)
    }

    private static func remove(_ name: [CChar], in directory: Int32, _ path: String) throws(SystemError) {
        if unlinkat(directory, name, 0) == 0 || errno == ENOENT { return }
        if errno != EISDIR { throw SystemError.last("unlink", path) }
        let flags = UInt64(O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        let raw = retrying { slk_openat2(directory, name, flags, 0, SLK_RESOLVE_NO_XDEV) }
        if raw < 0 {
            let error = SystemError.last("open", path)
            throw error.code == EXDEV ? SystemError(EBUSY, "rmdir", path) : error
        }
        guard let stream = fdopendir(raw) else {
            let error = SystemError.last("fdopendir", path)
            close(raw)
            throw error
        }
        defer { closedir(stream) }
        for child in rawNames(stream) {
            let text = String(decoding: child.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
            try remove(child, in: raw, path + "/" + text)
        }
        if unlinkat(directory, name, AT_REMOVEDIR) < 0, errno != ENOENT {
            throw SystemError.last("rmdir", path)
        }
    }

    /// Replaces a file in one step: a reader, or who comes after a power cut, sees old bytes or new ones.
    public static func replaceFile(
        _ path: String, with bytes: [UInt8], mode: UInt32 = 0o600
    ) throws(SystemError) {
        let temporary = path + ".new"
        do throws(SystemError) {
            let file = try File(open: temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
            try file.write(bytes, at: 0)
            try file.synchronizeData()
            if rename(temporary, path) < 0 { throw SystemError.last("rename", path) }
        } catch {
            unlink(temporary)
            throw error
        }
        try synchronize(parent(of: path))
    }

    /// The path up to the last slash; "." when there is none.
    public static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
