// SPDX-License-Identifier: Apache-2.0

import Base
import Volumes

extension MountManager {
    /// Makes an image of a volume as it is now.
    ///
    /// A mounted volume's file system is held still for the moment that takes, by a child that lets it go
    /// when its standard input ends: also when this daemon dies meanwhile.
    func snapshot(_ request: SnapshotRequest) throws(Failure) -> ImageRecord {
        try locks.with(["volume:" + request.volume]) { () throws(Failure) in
            guard let directory = mountPoint(ofVolume: request.volume) else {
                return try take(request)
            }
            let child = try Child.take()
            do throws(Failure) {
                try child.begin(.freeze(directory: directory))
                _ = try child.answer()
                let image = try take(request)
                child.closeInput()
                try confirm(image, child)
                return image
            } catch {
                child.closeInput()
                _ = try? child.finish()
                // Harmless when it is thawed already; needed when the child was killed.
                _ = try? Child.run(.thaw(directory: directory))
                throw error
            }
        }
    }

    /// A freeze that ended by its guard, before the snapshot was taken, leaves an image that nobody may have.
    private func confirm(_ image: ImageRecord, _ child: Child) throws(Failure) {
        do throws(Failure) { _ = try child.finish() } catch {
            try? store.remove(image.name)
            throw error
        }
    }

    private func take(_ request: SnapshotRequest) throws(Failure) -> ImageRecord {
        do throws(VolumeError) {
            return try store.snapshot(volume: request.volume, as: request.image)
        } catch {
            throw Failure(error)
        }
    }

    private func mountPoint(ofVolume name: String) -> String? {
        list().first { $0.kind == "volume" && $0.name == name && !$0.readOnly }?.directory
    }
}
