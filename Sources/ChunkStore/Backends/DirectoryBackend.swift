// SPDX-License-Identifier: Apache-2.0

public import Base
import Glibc

/// Objects as files of a directory: `packs/DIGEST` and `maps/DIGEST`, and `incoming` for what is being
/// written.
public final class DirectoryBackend: Backend {
    let directory: String

    /// Uses a directory, which is made when it is not there.
    ///
    /// What a killed `put` left in `incoming` may be removed whenever nobody is writing.
    public init(directory: String) throws(ChunkStoreError) {
        self.directory = directory
        try Self.wrapping { () throws(SystemError) in
            for kind in ObjectName.Kind.allCases { try Directories.create(directory + "/" + kind.rawValue) }
            try Directories.create(directory + "/incoming")
        }
    }

    private func path(_ name: ObjectName) -> String { directory + "/" + name.description }

    private static func wrapping<T>(_ body: () throws(SystemError) -> T) throws(ChunkStoreError) -> T {
        do throws(SystemError) { return try body() } catch { throw ChunkStoreError(error) }
    }

    public func size(of name: ObjectName) throws(ChunkStoreError) -> UInt64? {
        do throws(SystemError) {
            return try File(open: path(name), O_RDONLY).size()
        } catch {
            if error.code == ENOENT { return nil }
            throw ChunkStoreError(error)
        }
    }

    public func read(_ name: ObjectName, at offset: UInt64, count: Int) throws(ChunkStoreError) -> [UInt8] {
        let bytes = try Self.wrapping { () throws(SystemError) in
            try File(open: path(name), O_RDONLY).read(count: count, at: offset)
        }
        if bytes.count != count {
            throw .badObject(name: "\(name)", reason: "it ends before byte \(offset) + \(count)")
        }
        return bytes
    }

    public func put(_ name: ObjectName, contentsOf file: File) throws(ChunkStoreError) {
        if try exists(name) { return }
        let temporary =
            directory + "/incoming/" + name.digest.hex + "." + String(UInt64.random(in: 0 ... .max))
        do throws(ChunkStoreError) {
            let digest = try Self.wrapping { () throws(SystemError) in try Self.copy(file, to: temporary) }
            if digest != name.digest {
                throw .badObject(name: "\(name)", reason: "\(file.path) has the digest \(digest)")
            }
            try Self.wrapping { () throws(SystemError) in
                if rename(temporary, path(name)) < 0 { throw SystemError.last("rename", path(name)) }
                try Directories.synchronize(directory + "/" + name.kind.rawValue)
            }
        } catch {
            // The first failure is the one to report; what is left here is of no use to anybody.
            try? Directories.removeFile(temporary)
            throw error
        }
    }

    private static func copy(_ file: File, to path: String) throws(SystemError) -> Digest {
        let target = try File(open: path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o644)
        var hasher = DigestHasher()
        var offset: UInt64 = 0
        while true {
            let bytes = try file.read(count: 1 << 20, at: offset)
            if bytes.isEmpty { break }
            hasher.update(bytes)
            try target.write(bytes, at: offset)
            offset += UInt64(bytes.count)
        }
        try target.synchronizeData()
        return hasher.digest()
    }

    public func list(_ kind: ObjectName.Kind) throws(ChunkStoreError) -> [ObjectName] {
        let names = try Self.wrapping { () throws(SystemError) in
            try Directories.names(in: directory + "/" + kind.rawValue)
        }
        return names.compactMap { Digest(hex: $0) }.map { ObjectName(kind, $0) }.sorted()
    }

    public func delete(_ name: ObjectName) throws(ChunkStoreError) {
        try Self.wrapping { () throws(SystemError) in try Directories.removeFile(path(name)) }
    }
}
