// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Volumes

/// The one place where this module's failures become the error numbers that programs see.
enum ErrorNumbers {
    static func number(_ error: any Error) -> Int32 {
        switch error {
        case let error as VolumeError: error.errorNumber
        case let error as SystemError: error.code
        case let error as FileError: error.rawValue
        default: EIO
        }
    }
}

/// Requests that are refused before the store sees them; the raw value is the error number.
struct FileError: Error, RawRepresentable {
    let rawValue: Int32

    /// The name does not exist, or is no name.
    static let notFound = FileError(rawValue: ENOENT)
    /// Snapshots and the directories do not change by file operations.
    static let notPermitted = FileError(rawValue: EPERM)
    static let readOnly = FileError(rawValue: EROFS)
    static let exists = FileError(rawValue: EEXIST)
    /// Somebody has the file open, a loop device perhaps.
    static let busy = FileError(rawValue: EBUSY)
    /// lseek beyond the last data.
    static let noData = FileError(rawValue: ENXIO)
    /// The kernel then copies by reading and writing.
    static let copyByHand = FileError(rawValue: EXDEV)
    static let notSupported = FileError(rawValue: EOPNOTSUPP)
    static let invalid = FileError(rawValue: EINVAL)
    static let tooLarge = FileError(rawValue: EFBIG)
    static let stale = FileError(rawValue: ESTALE)
    static let io = FileError(rawValue: EIO)
}
