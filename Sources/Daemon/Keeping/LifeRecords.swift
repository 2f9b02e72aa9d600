// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Volumes

/// What a daemon writes into its run directory about mounts and containers, so that one that takes over knows them.
///
/// Files that survive the end of a process and no more: nothing is flushed. Each is written in one step.
struct LifeRecords: Sendable {
    /// A mount that somebody asked for.
    struct Mount: Codable, Sendable {
        let info: MountInfo
        /// Of a bind mount of an image's shared mount.
        let imageID: UInt64?
    }

    /// A container that is ready, or runs.
    struct Container: Codable, Sendable {
        let info: ContainerInfo
        let mount: MountInfo
        /// Of a container whose root is an image's shared mount.
        let imageID: UInt64?
        let remove: Bool
        let client: ProcessIdentity

        /// Its volume goes with it.
        var isEphemeral: Bool { remove && mount.kind == "volume" }
    }

    private let directory: String
    private let containersDirectory: String
    private static let containerFile = "slacker.json"

    init(_ places: Places) {
        directory = places.mounts
        containersDirectory = places.containers
    }

    /// A number for the file of a mount.
    static func freshKey() -> String { String(UInt64.random(in: 0...UInt64.max), radix: 36) }

    func write(_ mount: Mount, key: String) {
        do throws(SystemError) { try Directories.create(directory) } catch {
            return Self.warn(mount.info.directory, error)
        }
        Self.write(mount, directory + "/" + key, mount.info.directory)
    }

    func removeMount(key: String) {
        unlink(directory + "/" + key)
    }

    /// Goes with the bundle.
    func write(_ container: Container) {
        Self.write(container, container.info.bundle + "/" + Self.containerFile, container.info.id)
    }

    /// Everything that is readable; a file that was cut short by a full disk is as good as none.
    func mounts() -> [(key: String, mount: Mount)] {
        let names = (try? Directories.names(in: directory)) ?? []
        return names.compactMap { name in
            guard !name.hasSuffix(".new"), let mount = Self.read(Mount.self, directory + "/" + name) else {
                return nil
            }
            return (name, mount)
        }
    }

    func containers() -> [Container] {
        let names = (try? Directories.names(in: containersDirectory)) ?? []
        return names.compactMap {
            Self.read(Container.self, "\(containersDirectory)/\($0)/\(Self.containerFile)")
        }
    }

    private static func write(_ value: some Encodable, _ path: String, _ subject: String) {
        do {
            let fresh = path + ".new"
            let file = try File(open: fresh, O_WRONLY | O_CREAT | O_TRUNC)
            try file.write(try JSON.encode(value), at: 0)
            if rename(fresh, path) < 0 { throw SystemError.last("rename", fresh) }
        } catch {
            warn(subject, error)
        }
    }

    private static func warn(_ subject: String, _ error: any Error) {
        Log.warning(
            "daemon", "another daemon would not know this mount", ["what": subject, "reason": "\(error)"])
    }

    private static func read<Value: Decodable>(_ type: Value.Type, _ path: String) -> Value? {
        guard let bytes = try? File.small(path, limitBytes: 1 << 20) else { return nil }
        return try? JSON.decode(type, bytes)
    }
}

/// What a daemon finds of one that died: nothing, where it does not take over.
struct InheritedLife: Sendable {
    var mounts: [(key: String, mount: LifeRecords.Mount)] = []
    var containers: [LifeRecords.Container] = []

    static func read(_ records: LifeRecords) -> InheritedLife {
        InheritedLife(mounts: records.mounts(), containers: records.containers())
    }

    /// What the store has to keep for it.
    var inheritance: Inheritance {
        let volumes = Set(containers.filter(\.isEphemeral).map(\.mount.name))
        let images = mounts.compactMap(\.mount.imageID) + containers.compactMap(\.imageID)
        return Inheritance(snapshots: Set(images)) { volumes.contains($0) }
    }
}
