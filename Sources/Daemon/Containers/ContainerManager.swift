// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import Mounts
import Volumes

/// Makes containers ready for the OCI runtime, and takes away what they leave.
///
/// The runtime itself is run by the client, as its child, so that terminal and standard streams are the
/// client's own. Blocks; for plain threads.
final class ContainerManager: Sendable {
    private let mounts: MountManager
    private let places: Places
    private let recordings: Recordings
    private let containers = Lock([String: Container]())
    /// What is still to be taken away of containers that have ended.
    let ended: EndedContainers

    typealias Container = LifeRecords.Container

    init(mounts: MountManager, recordings: Recordings) {
        self.mounts = mounts
        self.recordings = recordings
        places = mounts.places
        ended = EndedContainers(directory: mounts.places.run + "/ended")
    }

    func list() -> [ContainerInfo] {
        containers.withLock { $0.values.map(\.info).sorted { $0.id < $1.id } }
    }

    /// Clones or shares the image, mounts it and writes the bundle.
    ///
    /// Nothing is left when a step fails.
    /// - Parameters:
    ///   - name: of the image.
    ///   - child: one that has not been asked for anything.
    ///   - steps: what has been timed so far.
    func create(
        _ request: ContainerRequest, of name: String, _ child: Child, _ steps: StepClock
    ) throws(Failure) -> ContainerInfo {
        var clock = steps
        let options = try Self.options(request)
        let image: ImageRecord
        do throws(VolumeError) { image = try mounts.store.image(named: name) } catch {
            throw Failure(error)
        }
        let id = request.name ?? Self.freshID()
        do throws(VolumeError) { try Names.checkVolume(id) } catch { throw Failure(error) }
        return try mounts.locks.with(["directory:container:" + id]) { () throws(Failure) in
            if containers.withLock({ $0[id] != nil }) {
                throw Failure(.exists, "container '\(id)' runs already; choose another --name")
            }
            let bundle = "\(places.containers)/\(id)"
            let root = try makeRoot(request, image, id, &clock)
            do throws(Failure) {
                if root.volume != nil {
                    try recordings.begin(id, image: image.name, isAskedFor: request.record)
                }
                return try finish(request, image, id, bundle, root, options, child, &clock)
            } catch {
                recordings.drop(id)
                root.undo()
                try? Directories.removeTree(bundle)
                throw error
            }
        }
    }

    /// Unmounts the root of a container that has ended, and removes its bundle; its volume too with `--rm`.
    ///
    /// With `--rm` somebody waits for the end and nobody for what it leaves: the container, its mount and its
    /// volume are forgotten at once, and taken away in the background.
    func release(_ id: String) throws(Failure) {
        try mounts.locks.with(["directory:container:" + id]) { () throws(Failure) in
            guard let container = containers.withLock({ $0[id] }) else {
                throw Failure(
                    .notFound, "container '\(id)': not known; 'slacker status' lists those that run")
            }
            if Directories.exists("\(places.runtime)/\(id)/state.json"), container.client.isAlive == false {
                try? Self.deleteForcibly(id, places)
            }
            if container.isEphemeral { return try discard(container) }
            if container.mount.kind == "volume" {
                let job = UnmountJob(directory: container.mount.directory, lazily: true, remove: true)
                try Child.run(.unmount([job]))
            }
            containers.withLock { $0[id] = nil }
            recordings.end(id)
            try mounts.drop(container.mount)
            do throws(SystemError) { try Directories.removeTree(container.info.bundle) } catch {
                throw Failure(error)
            }
        }
    }

    private func discard(_ container: Container) throws(Failure) {
        let place: String
        do throws(SystemError) { place = try ended.moveAside(container.info.bundle) } catch {
            throw Failure(error)
        }
        containers.withLock { $0[container.info.id] = nil }
        recordings.end(container.info.id)
        defer { ended.discard(place) }
        try mounts.discardVolume(container.mount)
    }

    /// Releases containers whose client was killed and which have ended; called now and then.
    func releaseAbandoned() {
        let abandoned = containers.withLock { all in
            all.values.filter { !$0.client.isAlive }.map(\.info.id)
        }
        for id in abandoned where !isRunning(id) { try? release(id) }
    }

    /// The runtime's state directory of a container is there for as long as the container is.
    private func isRunning(_ id: String) -> Bool {
        guard Directories.exists("\(places.runtime)/\(id)"),
            let runtime = try? Runtime.find(runDirectory: places.run),
            let result = try? Subprocess.run(runtime.state(id: id)), result.succeeded
        else { return false }
        return !result.output.contains("\"status\": \"stopped\"")
    }

    private static func deleteForcibly(_ id: String, _ places: Places) throws {
        let runtime = try Runtime.find(runDirectory: places.run)
        _ = try Subprocess.run(runtime.delete(id: id, force: true))
    }

    private func finish(
        _ request: ContainerRequest, _ image: ImageRecord, _ id: String, _ bundle: String, _ root: Root,
        _ options: BundleOptions, _ child: Child, _ clock: inout StepClock
    ) throws(Failure) -> ContainerInfo {
        let job = BundleJob(
            directory: bundle, root: root.directory, identifier: id,
            configuration: String(decoding: image.configuration, as: UTF8.self), options: options)
        let answer = try child.run(.prepare(mount: root.job, bundle: job))
        clock.step("child")
        let info = ContainerInfo(
            id: id, image: image.name, bundle: bundle, rootDirectory: root.directory, volume: root.volume,
            timings: clock.steps + (answer.timings ?? []))
        let mount = MountInfo(
            name: root.volume ?? image.name, kind: root.volume == nil ? "image" : "volume",
            directory: root.volume == nil ? bundle : root.directory, readOnly: request.readOnly,
            device: answer.device ?? root.device, container: id)
        let imageID = root.volume == nil ? image.id : nil
        mounts.record(mount, imageID: imageID)
        let container = Container(
            info: info, mount: mount, imageID: imageID, remove: request.remove,
            client: ProcessIdentity(request.clientProcess))
        mounts.records.write(container)
        containers.withLock { $0[id] = container }
        return info
    }

    /// Goes on with the containers of a daemon that died.
    func adopt(_ life: InheritedLife) {
        containers.withLock { all in
            for container in life.containers { all[container.info.id] = container }
        }
        for name in (try? Directories.names(in: ended.directory)) ?? [] {
            ended.discard(ended.directory + "/" + name)
        }
    }

    /// The root file system of one container to be, and how to give it back.
    struct Root {
        let directory: String
        /// What the child mounts; nil when it is mounted already.
        let job: MountJob?
        let volume: String?
        let device: String
        let undo: () -> Void
    }

    private func makeRoot(
        _ request: ContainerRequest, _ image: ImageRecord, _ id: String, _ clock: inout StepClock
    ) throws(Failure) -> Root {
        if request.readOnly {
            let shared = try mounts.acquireShared(image)
            clock.step("share")
            return Root(directory: shared.directory, job: nil, volume: nil, device: shared.device) {
                [mounts] in
                try? mounts.releaseShared(image.id)
            }
        }
        let clone = CloneRequest(image: image.name, volume: id, sizeBytes: request.sizeBytes)
        try cloneVolume(clone, ephemeral: request.remove)
        clock.step("clone")
        do throws(Failure) { try mounts.claim(id, "root of container \(id)") } catch {
            try? mounts.store.remove(id)
            throw error
        }
        let directory = "\(places.containers)/\(id)/rootfs"
        // A profile that is made on purpose is for those to whom every block comes from afar.
        let job = MountJob(
            file: mounts.file(ofVolume: id), directory: directory, readOnly: false,
            isSparing: request.record || !image.isWhole)
        return Root(directory: directory, job: job, volume: id, device: "") { [mounts] in
            _ = try? Child.run(.unmount([UnmountJob(directory: directory, lazily: true, remove: true)]))
            mounts.unclaim(id)
            try? mounts.store.remove(id)
        }
    }

    /// Clones an image and gives the clone another size where that is asked for.
    func cloneVolume(_ request: CloneRequest, ephemeral: Bool = false) throws(Failure) {
        do throws(VolumeError) {
            _ = try mounts.store.clone(image: request.image, as: request.volume, ephemeral: ephemeral)
        } catch {
            throw Failure(error)
        }
        guard let size = request.sizeBytes else { return }
        do throws(Failure) {
            guard size % 4096 == 0, size >= 1 << 20, size < 1 << 44 else {
                throw Failure(
                    .invalid, "size \(size): not between 1 MiB and 16 TiB in whole blocks; choose another")
            }
            try Child.run(.resize(file: mounts.file(ofVolume: request.volume), sizeBytes: size))
        } catch {
            try? mounts.store.remove(request.volume)
            throw error
        }
    }

    private static func options(_ request: ContainerRequest) throws(Failure) -> BundleOptions {
        var options = BundleOptions()
        options.command = request.command
        options.entrypoint = request.entrypoint
        options.environment = request.environment
        options.user = request.user
        options.workingDirectory = request.workingDirectory
        options.terminal = request.terminal
        options.readOnly = request.readOnly
        guard let network = BundleOptions.Network(rawValue: request.network) else {
            throw Failure(.invalid, "network \(request.network): not known; use host or none")
        }
        options.network = network
        do throws(MountsError) {
            for volume in request.volumes {
                options.mounts.append(try BundleOptions.HostMount(parsing: volume))
            }
        } catch {
            throw Failure(error)
        }
        return options
    }

    private static func freshID() -> String {
        "c-" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
    }
}
