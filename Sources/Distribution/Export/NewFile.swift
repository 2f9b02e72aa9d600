// SPDX-License-Identifier: Apache-2.0

import Base
import Flatten
import Glibc
import OCI
import Volumes

/// A file that appears under its name when it is whole, or never.
final class NewFile {
    let file: File
    private let path: String
    private var isKept = false

    /// - Throws: `.system` also where the directory is not there: a typing error must not make one.
    init(_ path: String) throws(DistributionError) {
        self.path = path
        let suffix = String(UInt32.random(in: 0 ... .max), radix: 36)
        file = try Step.system { () throws(SystemError) in
            if Directories.isDirectory(path) { throw SystemError(EISDIR, "open", path) }
            return try File(open: "\(path).new-\(suffix)", O_RDWR | O_CREAT | O_EXCL, mode: 0o644)
        }
    }

    deinit { if !isKept { unlink(file.path) } }

    /// Gives it its name, in place of what had it.
    func keep() throws(DistributionError) {
        try Step.system { () throws(SystemError) in
            try file.synchronizeData()
            if rename(file.path, path) < 0 { throw SystemError.last("rename", path) }
            isKept = true
            try Directories.synchronize(Directories.parent(of: path))
        }
    }
}

/// Runs a step of another module, and makes its failure one of this module.
enum Step {
    static func system<T>(_ body: () throws(SystemError) -> T) throws(DistributionError) -> T {
        do throws(SystemError) { return try body() } catch { throw .system(error) }
    }

    static func flatten<T>(_ body: () throws(FlattenError) -> T) throws(DistributionError) -> T {
        do throws(FlattenError) { return try body() } catch {
            if case .cancelled = error { throw .cancelled }
            throw .flatten(error)
        }
    }

    static func volumes<T>(_ body: () throws(VolumeError) -> T) throws(DistributionError) -> T {
        do throws(VolumeError) { return try body() } catch { throw .volumes(error) }
    }

    static func registry<T>(_ body: () throws(OCIError) -> T) throws(DistributionError) -> T {
        do throws(OCIError) { return try body() } catch { throw .registry(error) }
    }
}
