// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import Mounts
import Volumes

extension MountManager {
    /// The one mount of an image, made if need be; every call is to be paired with `releaseShared`.
    func acquireShared(_ image: ImageRecord) throws(Failure) -> SharedMount {
        try locks.with(["image:\(image.id)"]) { () throws(Failure) in
            let known = state.withLock { state -> SharedMount? in
                state.shared[image.id]?.users += 1
                return state.shared[image.id]
            }
            if let known { return known }
            let directory = "\(places.images)/\(image.id)"
            do throws(SystemError) { try Directories.create(directory) } catch { throw Failure(error) }
            let job = MountJob(
                file: file(ofImage: image.name), directory: directory, readOnly: true,
                isSparing: !image.isWhole)
            let device = try Child.run(.mount(job)).device ?? ""
            store.hold(snapshot: image.id)
            let shared = SharedMount(directory: directory, device: device, users: 1)
            state.withLock { $0.shared[image.id] = shared }
            return shared
        }
    }

    /// Lets go of an image's mount, which goes with its last user.
    func releaseShared(_ id: UInt64) throws(Failure) {
        try locks.with(["image:\(id)"]) { () throws(Failure) in
            let last = state.withLock { state -> SharedMount? in
                state.shared[id]?.users -= 1
                guard let shared = state.shared[id], shared.users <= 0 else { return nil }
                return shared
            }
            guard let last else { return }
            try Child.run(.unmount([UnmountJob(directory: last.directory, lazily: true, remove: true)]))
            state.withLock { $0.shared[id] = nil }
            // What cannot be taken away now goes with the next collection.
            try? store.letGo(snapshot: id)
        }
    }

    /// Takes hold of a volume for one mount; a second one fails.
    func claim(_ name: String, _ reason: String) throws(Failure) {
        releaseLingering()
        do throws(VolumeError) {
            if let broken = try store.volume(named: name).brokenReason { throw .broken(name, reason: broken) }
            let other = state.withLock { state -> String? in
                if let other = state.claims[name] { return other }
                state.claims[name] = reason
                return nil
            }
            if let other { throw VolumeError.inUse(name, reason: other) }
            try store.setInUse(name, reason)
        } catch {
            throw Failure(error)
        }
    }

    func unclaim(_ name: String) {
        state.withLock { $0.claims[name] = nil }
        try? store.setInUse(name, nil)
    }

    /// Ends the hold on a volume that is unmounted here.
    ///
    /// Another mount namespace, of a process that a container left behind, may keep the file system alive:
    /// then it ends when that process does.
    func releaseVolume(_ name: String, device: String) {
        let file = file(ofVolume: name)
        if isAttached(device, file) {
            state.withLock { $0.lingering[name] = Lingering(file: file, device: device) }
        } else {
            unclaim(name)
        }
    }

    /// Gives up the root of a container that has ended, and its volume with it.
    ///
    /// Whoever still uses the file system keeps what it needs, without a name.
    func discardVolume(_ info: MountInfo) throws(Failure) {
        try locks.with(["volume:" + info.name]) { () throws(Failure) in
            _ = state.withLock { $0.mounts.removeValue(forKey: info.directory) }
            unclaim(info.name)
            do throws(VolumeError) { try store.remove(info.name) } catch { throw Failure(error) }
        }
    }

    /// Ends holds whose process has gone since; called now and then.
    func releaseLingering() {
        let all = state.withLock { $0.lingering }
        for (name, entry) in all where !isAttached(entry.device, entry.file) {
            guard state.withLock({ $0.lingering.removeValue(forKey: name) }) != nil else { continue }
            unclaim(name)
        }
    }

    func file(ofVolume name: String) -> String { "\(places.fileSystem)/volumes/\(FileNames.shown(name))" }
    func file(ofImage name: String) -> String { "\(places.fileSystem)/snapshots/\(FileNames.shown(name))" }

    func isAttached(_ device: String, _ file: String) -> Bool {
        guard let number = Int32(device.dropFirst("/dev/loop".count)) else { return false }
        return LoopDevice.backingFile(number: number) == file
    }
}
