// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import Mounts
import Volumes

extension MountManager {
    /// Goes on with the mounts of a daemon that died: those that it took down, and those that it had no more time to.
    func adopt(_ life: InheritedLife) {
        for (key, mount) in life.mounts { adopt(mount.info, mount.imageID, key: key) }
        for container in life.containers { adopt(container.mount, container.imageID, key: nil) }
        let uses = (try? LoopUse.list(under: places.fileSystem)) ?? []
        for use in uses { adoptUnknown(use) }
    }

    private func adopt(_ info: MountInfo, _ imageID: UInt64?, key: String?) {
        let isVolume = info.kind == "volume"
        let reason = info.container.map { "root of container \($0)" } ?? "mounted at \(info.directory)"
        state.withLock { state in
            state.mounts[info.directory] = Record(info: info, imageID: imageID, key: key)
            if isVolume { state.claims[info.name] = reason }
            guard let imageID else { return }
            let directory = "\(places.images)/\(imageID)"
            state.shared[
                imageID, default: SharedMount(directory: directory, device: info.device, users: 0)
            ].users += 1
        }
        if isVolume { try? store.setInUse(info.name, reason) }
    }

    /// A volume's loop device that nothing was taken down of: a mount that was just being made or taken away.
    private func adoptUnknown(_ use: LoopUse) {
        let prefix = places.fileSystem + "/volumes/"
        guard use.file.hasPrefix(prefix),
            let name = FileNames.name(shownAs: String(use.file.dropFirst(prefix.count))),
            store.kind(of: name) == .volume, state.withLock({ $0.claims[name] == nil })
        else { return }
        let device = "/dev/loop\(use.number)"
        if let directory = use.directories.first(where: { !$0.hasPrefix(places.run + "/") }) {
            let info = MountInfo(
                name: name, kind: "volume", directory: directory, readOnly: false, device: device,
                container: nil)
            adopt(info, nil, key: nil)
            return
        }
        let reason = "unmounted, but a process still has it"
        state.withLock { state in
            state.claims[name] = reason
            state.lingering[name] = Lingering(file: use.file, device: device)
        }
        try? store.setInUse(name, reason)
    }

    /// What a child may leave below the run directory: all else there is a dead daemon's.
    func known(_ life: InheritedLife) -> KnownLife {
        KnownLife(
            containers: life.containers.map(\.info.id),
            images: state.withLock { state in state.shared.keys.map { "\($0)" } })
    }
}
