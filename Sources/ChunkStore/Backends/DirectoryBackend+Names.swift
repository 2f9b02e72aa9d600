// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

extension DirectoryBackend: NamedObjects {
    private static let lockSeconds = 30.0

    public func readName(_ name: String) throws(ChunkStoreError) -> NamedObject? {
        let path = try path(ofName: name)
        do throws(SystemError) {
            let file = try File(open: path, O_RDONLY)
            let size = try file.size()
            if size > NamedObjectKey.maximumObjectBytes { throw SystemError(EFBIG, "read", path) }
            let bytes = try file.read(count: Int(size), at: 0)
            return NamedObject(bytes: bytes, etag: Digest(hashing: bytes).hex)
        } catch {
            if error.code == ENOENT { return nil }
            throw ChunkStoreError(error)
        }
    }

    public func writeName(
        _ name: String, bytes: [UInt8], if condition: WriteCondition
    ) throws(ChunkStoreError) -> Bool {
        let path = try path(ofName: name)
        return try locked { () throws(ChunkStoreError) in
            switch condition {
            case .always: break
            case .absent: if try readName(name) != nil { return false }
            case .matches(let etag): if try readName(name)?.etag != etag { return false }
            }
            try replace(path, bytes)
            return true
        }
    }

    private func replace(_ path: String, _ bytes: [UInt8]) throws(ChunkStoreError) {
        let temporary = directory + "/incoming/name." + String(UInt64.random(in: 0 ... .max))
        do throws(SystemError) {
            let file = try File(open: temporary, O_WRONLY | O_CREAT | O_EXCL, mode: 0o644)
            try file.write(bytes, at: 0)
            try file.synchronizeData()
            if rename(temporary, path) < 0 { throw SystemError.last("rename", path) }
            try Directories.synchronize(Directories.parent(of: path))
        } catch {
            // The first failure is the one to report; what is left here is of no use to anybody.
            try? Directories.removeFile(temporary)
            throw ChunkStoreError(error)
        }
    }

    public func listNames() throws(ChunkStoreError) -> [String] {
        let files: [String]
        do throws(SystemError) {
            files = try Directories.names(in: directory + "/" + NamedObjectKey.directory)
        } catch {
            if error.code == ENOENT { return [] }
            throw ChunkStoreError(error)
        }
        return files.compactMap { NamedObjectKey.name(ofFile: $0) }.sorted()
    }

    public func deleteName(_ name: String) throws(ChunkStoreError) {
        let path = try path(ofName: name)
        try locked { () throws(ChunkStoreError) in
            do throws(SystemError) { try Directories.removeFile(path) } catch { throw ChunkStoreError(error) }
        }
    }

    private func path(ofName name: String) throws(ChunkStoreError) -> String {
        directory + "/" + (try NamedObjectKey.path(name))
    }

    /// One writer of names at a time, also among processes; the lock goes with the process.
    private func locked<T>(_ body: () throws(ChunkStoreError) -> T) throws(ChunkStoreError) -> T {
        let lock: File
        do throws(SystemError) {
            try Directories.create(directory + "/" + NamedObjectKey.directory)
            lock = try File(open: directory + "/incoming/names.lock", O_RDWR | O_CREAT, mode: 0o644)
            let deadline = MonotonicTime.now.advanced(bySeconds: Self.lockSeconds)
            while try !lock.tryLock() {
                if MonotonicTime.now > deadline { throw SystemError(ETIMEDOUT, "flock", lock.path) }
                usleep(5000)
            }
        } catch {
            throw ChunkStoreError(error)
        }
        return try withExtendedLifetime(lock) { () throws(ChunkStoreError) in try body() }
    }
}
