// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

extension File {
    /// Makes a file that has no name: it goes with its last descriptor, however the process ends.
    ///
    /// EOPNOTSUPP or EISDIR where the file system has none.
    public convenience init(unnamedIn directory: String, mode: UInt32 = 0o600) throws(SystemError) {
        try self.init(open: directory, O_RDWR | Int32(SLK_O_TMPFILE), mode: mode)
    }

    /// Gives a file that was made without a name its first one; nobody may have that name.
    public func link(as name: String) throws(SystemError) {
        // The way that needs no capability.
        if linkat(AT_FDCWD, "/proc/self/fd/\(fd)", AT_FDCWD, name, AT_SYMLINK_FOLLOW) < 0 {
            throw SystemError.last("linkat", name)
        }
    }
}
