// SPDX-License-Identifier: Apache-2.0

import Base

/// What of the life of an earlier process goes on in this one, because somebody still uses it.
public struct Inheritance: Sendable {
    /// Whether a volume that nobody wants back after a power cut is wanted now.
    let keepsVolume: @Sendable (_ name: String) -> Bool
    /// Snapshots that are mounted.
    let snapshots: Set<UInt64>

    /// - Parameters:
    ///   - keepsVolume: asked for ephemeral volumes only; others stay in any case.
    ///   - snapshots: held as by `VolumeStore.hold`.
    public init(snapshots: Set<UInt64>, keepsVolume: @escaping @Sendable (_ name: String) -> Bool) {
        self.snapshots = snapshots
        self.keepsVolume = keepsVolume
    }

    /// All who used anything have gone.
    public static let nothing = Inheritance(snapshots: []) { _ in false }
    /// Somebody else will know who uses what.
    public static let everything = Inheritance(snapshots: []) { _ in true }
}

/// A file of the store by its number.
public enum BlockFile: Sendable {
    case snapshot(Snapshot, name: String)
    case volume(Volume)
}

extension VolumeStore {
    /// Images with such names hold a volume's content for as long as it takes to clone it; what a killed process
    /// has left of them goes at the next start.
    public static let momentPrefix = "copy-under-way/"

    /// Keeps a snapshot, and what it needs, until as many calls of `letGo`: its image may be removed meanwhile, or
    /// its name be given to another.
    ///
    /// Lasts across the end of the process only as `Inheritance` says.
    public func hold(snapshot id: UInt64) {
        registry.state.withLock { $0.held[id, default: 0] += 1 }
    }

    /// Ends what one call of `hold` has begun; what nobody has any more goes.
    ///
    /// Errors: `.catalog`, `.system`; it is tried again with the next collection.
    public func letGo(snapshot id: UInt64) throws(VolumeError) {
        var garbage = Registry.Garbage()
        try registry.state.withLock { (state) throws(VolumeError) in
            let count = (state.held[id] ?? 1) - 1
            state.held[id] = count > 0 ? count : nil
            if count <= 0 { try registry.takeGarbage(&state, &garbage) }
        }
        if garbage.isEmpty { return }
        try registry.dispose(garbage)
        sealer.collect()
    }

    /// The snapshot or volume with this number, for those who had it open before this process began.
    ///
    /// Errors: `.notFound`, `.broken`.
    public func blockFile(numbered id: UInt64) throws(VolumeError) -> BlockFile {
        let file: BlockFile? = registry.state.withLock { state in
            if let snapshot = state.snapshots[id] {
                let name = state.images.values.first { $0.snapshot === snapshot }?.name
                return .snapshot(snapshot, name: name ?? "snapshot \(Delta.hex(id))")
            }
            return state.volumes.values.first { $0.volume.id == id }.map { .volume($0.volume) }
        }
        guard let file else { throw .notFound(nil, Delta.hex(id), nearest: nil) }
        let (name, reason): (String, String?) =
            switch file {
            case .snapshot(let snapshot, let name): (name, snapshot.brokenReason)
            case .volume(let volume): (volume.name, volume.brokenReason)
            }
        if let reason { throw .broken(name, reason: reason) }
        return file
    }
}
