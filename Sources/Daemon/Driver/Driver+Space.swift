// SPDX-License-Identifier: Apache-2.0

import Base
import ChunkStore
import Volumes

extension Driver {
    /// Below this many free bytes a disk counts as full: less than the least that a mount writes.
    private static let fullBytes: UInt64 = 1 << 20

    /// Frees what nothing refers to any more.
    func collect() throws(Failure) -> CollectInfo {
        do throws(VolumeError) { return CollectInfo(try store.collect()) } catch { throw Failure(error) }
    }

    /// Does what writes to the state directory; a failure that a full disk is behind says so.
    ///
    /// An ext4 whose block device takes no writes turns read-only: that is all that those who use it are told.
    func explainingFullDisk<T>(_ body: () throws(Failure) -> T) throws(Failure) -> T {
        do throws(Failure) { return try body() } catch {
            guard error.code == .failed || error.code == .noSpace,
                let free = ChunkStore.freeBytes(of: places.root),
                free < Self.fullBytes
            else { throw error }
            throw Failure(
                .noSpace, "\(places.root): the disk is full; free some space and repeat (\(error.message))")
        }
    }
}
