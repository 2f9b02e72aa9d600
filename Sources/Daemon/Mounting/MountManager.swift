// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Mounts
import Volumes

/// Knows who has mounted what, and has children mount and unmount it.
///
/// One image has at most one file system mounted, under the run directory; every asker gets a bind mount of
/// it, so all share the kernel's page cache. A volume is mounted once at most. Blocks; for plain threads.
final class MountManager: Sendable {
    let places: Places
    let store: VolumeStore
    let records: LifeRecords
    /// Held around work on an image's shared mount or on a volume.
    let locks = KeyLocks()
    let state = Lock(State())

    struct State {
        /// By directory.
        var mounts: [String: Record] = [:]
        /// By the image's number.
        var shared: [UInt64: SharedMount] = [:]
        /// Why a volume is held, by its name.
        var claims: [String: String] = [:]
        /// Volumes that are unmounted but whose loop device some process still holds, by name.
        var lingering: [String: Lingering] = [:]
    }

    struct Record {
        let info: MountInfo
        /// Of a bind mount of an image's shared mount.
        let imageID: UInt64?
        /// Of its file for a daemon that takes over; nil for the root of a container, which has another.
        var key: String?
    }

    struct SharedMount {
        let directory: String
        let device: String
        var users: Int
    }

    struct Lingering {
        let file: String
        let device: String
    }

    init(places: Places, store: VolumeStore) {
        self.places = places
        self.store = store
        records = LifeRecords(places)
    }

    /// All mounts, by directory.
    func list() -> [MountInfo] {
        state.withLock { $0.mounts.values.map(\.info).sorted { $0.directory < $1.directory } }
    }

    /// Mounts an image, read-only, or a volume on an existing directory.
    func mount(_ request: MountRequest) throws(Failure) -> MountInfo {
        guard request.directory.hasPrefix("/") else {
            throw Failure(.invalid, "\(request.directory): not an absolute path; give one")
        }
        return try locks.with(["directory:" + request.directory]) { () throws(Failure) in
            forgetForeignUnmounts()
            if let taken = state.withLock({ $0.mounts[request.directory]?.info }) {
                let text = "\(request.directory): \(taken.kind) '\(taken.name)' is mounted there already"
                throw Failure(.exists, text + "; unmount it or take another directory")
            }
            if store.kind(of: request.name) == .image {
                let image: ImageRecord
                do throws(VolumeError) { image = try store.image(named: request.name) } catch {
                    throw Failure(error)
                }
                return try mountImage(image, request.directory)
            }
            return try mountVolume(request.name, request.directory, readOnly: request.readOnly)
        }
    }

    /// Takes a mount away; refuses when it is busy.
    func unmount(_ directory: String) throws(Failure) {
        try locks.with(["directory:" + directory]) { () throws(Failure) in
            guard let info = state.withLock({ $0.mounts[directory]?.info }) else {
                throw Failure(
                    .notFound, "\(directory): not a mount of this daemon; 'slacker status' lists them")
            }
            if let container = info.container {
                throw Failure(.inUse, "\(directory): the root of container '\(container)'; stop that first")
            }
            try Child.run(.unmount([UnmountJob(directory: directory, lazily: false, remove: false)]))
            try drop(info)
        }
    }

    /// Forgets a mount that is gone from its directory, and frees what was under it.
    func drop(_ info: MountInfo) throws(Failure) {
        guard let record = state.withLock({ $0.mounts.removeValue(forKey: info.directory) }) else { return }
        if let key = record.key { records.removeMount(key: key) }
        if let id = record.imageID {
            try releaseShared(id)
        } else {
            releaseVolume(info.name, device: info.device)
        }
    }

    /// Somebody may have called umount(8) behind the daemon's back: what the kernel's table lacks is
    /// forgotten.
    func forgetForeignUnmounts() {
        guard let table = try? MountTable.current() else { return }
        let present = Set(table.entries.map(\.directory))
        for info in list() where info.container == nil && !present.contains(info.directory) {
            try? drop(info)
        }
    }

    /// Takes everything out of sight, at the daemon's end.
    ///
    /// What is busy is flushed and ends with its users.
    func detachAll() -> [Failure] {
        let (records, shared) = state.withLock { (Array($0.mounts.values), Array($0.shared.values)) }
        // A read-only container has no mount of its own: its root is the image's.
        let own = records.filter { $0.info.container == nil || $0.imageID == nil }.map(\.info.directory)
        var failures: [Failure] = []
        for directory in own.sorted() + shared.map(\.directory).sorted() {
            do throws(Failure) {
                try Child.run(.unmount([UnmountJob(directory: directory, lazily: true, remove: false)]))
            } catch {
                failures.append(error)
            }
        }
        return failures
    }

    private func mountImage(_ image: ImageRecord, _ directory: String) throws(Failure) -> MountInfo {
        let shared = try acquireShared(image)
        do throws(Failure) {
            try Child.run(.bind(source: shared.directory, directory: directory, readOnly: true))
        } catch {
            try? releaseShared(image.id)
            throw error
        }
        let info = MountInfo(
            name: image.name, kind: "image", directory: directory, readOnly: true, device: shared.device,
            container: nil)
        return record(info, imageID: image.id)
    }

    private func mountVolume(
        _ name: String, _ directory: String, readOnly: Bool
    ) throws(Failure) -> MountInfo {
        try claim(name, "mounted at \(directory)")
        do throws(Failure) {
            let job = MountJob(file: file(ofVolume: name), directory: directory, readOnly: readOnly)
            let device = try Child.run(.mount(job)).device ?? ""
            let info = MountInfo(
                name: name, kind: "volume", directory: directory, readOnly: readOnly, device: device,
                container: nil)
            return record(info, imageID: nil)
        } catch {
            unclaim(name)
            throw error
        }
    }

    @discardableResult
    func record(_ info: MountInfo, imageID: UInt64?) -> MountInfo {
        let key = info.container == nil ? LifeRecords.freshKey() : nil
        state.withLock { $0.mounts[info.directory] = Record(info: info, imageID: imageID, key: key) }
        if let key { records.write(.init(info: info, imageID: imageID), key: key) }
        return info
    }
}
