// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Directory and whole-file operations that need no open file.
public enum Directories {
    /// Makes the directory and its missing parents.
    public static func create(_ path: String, mode: UInt32 = 0o700) throws(SystemError) {
        if mkdir(path, mode) == 0 { return }
        switch errno {
        case EEXIST: return
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
        var names: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != "." && name != ".." { names.append(name) }
        }
        return names.sorted()
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
    public static func removeTree(_ path: String) throws(SystemError) {
        var info = stat()
        if lstat(path, &info) < 0 {
            if errno == ENOENT { return }
            throw SystemError.last("lstat", path)
        }
        try removeTree(path, info, device: info.st_dev)
    }

    private static func removeTree(_ path: String, _ info: stat, device: dev_t) throws(SystemError) {
        guard info.st_mode & S_IFMT == S_IFDIR else { return try removeFile(path) }
        if info.st_dev != device { throw SystemError(EBUSY, "rmdir", path) }
        for name in try names(in: path) {
            let child = path + "/" + name
            var childInfo = stat()
            if lstat(child, &childInfo) < 0 { throw SystemError.last("lstat", child) }
            try removeTree(child, childInfo, device: device)
        }
        try removeEmpty(path)
    }

    /// Replaces a file in one step: a reader, or a machine that lost power, sees the old bytes or the new ones.
    public static func replaceFile(_ path: String, with bytes: [UInt8], mode: UInt32 = 0o600) throws(SystemError) {
        let temporary = path + ".new"
        let file = try File(open: temporary, O_WRONLY | O_CREAT | O_TRUNC, mode: mode)
        try file.write(bytes, at: 0)
        try file.synchronizeData()
        if rename(temporary, path) < 0 { throw SystemError.last("rename", path) }
        try synchronize(parent(of: path))
    }

    /// The path up to the last slash; "." when there is none.
    public static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
