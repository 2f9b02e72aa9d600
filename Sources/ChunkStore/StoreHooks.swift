// SPDX-License-Identifier: Apache-2.0

import Base

/// The calls whose failure the store must survive, replaceable so that tests can make them fail.
struct StoreHooks: Sendable {
    /// Makes the data of a file durable.
    var synchronize: @Sendable (File) throws(SystemError) -> Void = { (file: File) throws(SystemError) in
        try file.synchronizeData()
    }
    /// Bytes that the file system of a directory has left; nil when it does not tell.
    var availableBytes: @Sendable (String) -> UInt64? = { ChunkStore.freeBytes(of: $0) }
}
