// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import ChunkStore
import Glibc
import Mounts
import Volumes

/// Everything that the daemon does for its clients, apart from how they ask.
///
/// Blocks; for plain threads.
final class Driver: Sendable {
    let configuration: Configuration
    let places: Places
    let store: VolumeStore
    let mounts: MountManager
    let containers: ContainerManager
    let network: Network
    let fills: FillManager
    let scrubber: Scrubber
    let recordings: Recordings
    /// The files that the kernel reads; nil where nobody serves them.
    let blocks: BlockFileSystem?
    let starts: Starts
    let events = EventLog()
    let traces = TraceTable()
    let watched = Lock(Watched())
    let operations: OperationTable
    /// Held around the pull of an image, by its name.
    let pulls = KeyLocks()
    let readiness: RuntimeReadiness
    private let started = MonotonicTime.now
    /// For an answer to get out before the daemon ends.
    private static let answerMicroseconds: UInt32 = 20_000

    init(
        configuration: Configuration, store: VolumeStore, network: Network, blocks: BlockFileSystem?,
        starts: Starts
    ) {
        (self.blocks, self.starts) = (blocks, starts)
        operations = OperationTable(events)
        self.configuration = configuration
        places = configuration.places
        self.store = store
        self.network = network
        fills = FillManager(
            store: store, engine: network.engine,
            policy: FillPolicy(rawValue: configuration[Settings.fillPolicy]) ?? .idle,
            idleSeconds: configuration[Settings.fillIdleSeconds])
        scrubber = Scrubber(
            root: places.root, chunks: store.chunks, engine: network.engine,
            bytesPerSecond: configuration[Settings.scrubRate],
            intervalSeconds: configuration[Settings.scrubInterval])
        recordings = Recordings(store: store, seconds: configuration[Settings.recordSeconds])
        mounts = MountManager(places: places, store: store)
        containers = ContainerManager(mounts: mounts, recordings: recordings)
        readiness = RuntimeReadiness(runtime: (try? Runtime.find(runDirectory: places.run))?.path)
    }

    func status() -> StatusInfo {
        mounts.forgetForeignUnmounts()
        let images = store.images()
        return StatusInfo(
            version: Version.program, process: getpid(), root: places.root, run: places.run,
            uptimeSeconds: uptimeSeconds, images: images.count,
            volumes: store.volumes().count, mounts: mounts.list(), containers: containers.list(),
            operations: operations.running(), residentBytes: Self.residentBytes(),
            fetching: FetchInfo(network.engine.status()), cache: CacheInfo(store.chunks.cacheStatus()),
            fills: fills.list(), scrub: scrubber.info,
            lazyImages: images.filter { !$0.isWhole }.map(Self.info))
    }

    var uptimeSeconds: Double { MonotonicTime.now.seconds(since: started) }

    /// Without those behind keys of containerd, which has commands of its own for them.
    func images() -> [ImageInfo] {
        store.images().filter { !Names.isBehindKey($0.name) }.map(Self.info)
    }

    func volumes() -> [VolumeInfo] {
        store.volumes().filter { !Names.isBehindKey($0.name) }.map(Self.info)
    }

    func clone(_ request: CloneRequest) throws(Failure) -> VolumeInfo {
        try containers.cloneVolume(request)
        do throws(VolumeError) { return Self.info(try store.volume(named: request.volume)) } catch {
            throw Failure(error)
        }
    }

    func snapshot(_ request: SnapshotRequest) throws(Failure) -> ImageInfo {
        Self.info(try mounts.snapshot(request))
    }

    /// Removes an image or a volume that nobody uses.
    func remove(_ name: String) throws(Failure) {
        mounts.forgetForeignUnmounts()
        mounts.releaseLingering()
        if let user = mounts.list().first(where: { $0.name == name }) {
            let place =
                user.container.map { "the root of container '\($0)'" } ?? "mounted at \(user.directory)"
            throw Failure(.inUse, "\(user.kind) '\(name)': in use as \(place); end that first")
        }
        if let key = try? store.key(ofEntry: name) {
            throw Failure(.inUse, "\(name): belongs to containerd's snapshot \(key); remove that there")
        }
        let image = try? store.image(named: name)
        if let image { fills.forget(image) }
        do throws(VolumeError) { try store.remove(name) } catch { throw Failure(error) }
    }

    func usage() throws(Failure) -> UsageInfo {
        let usage = store.usage()
        return UsageInfo(
            images: usage.images.map {
                .init(
                    name: $0.name, sizeBytes: $0.logicalBytes, dataBytes: $0.dataBytes,
                    uniqueBytes: $0.uniqueBytes,
                    sharedBytes: $0.sharedBytes)
            },
            volumes: usage.volumes.map {
                .init(
                    name: $0.name, sizeBytes: $0.logicalBytes, dirtyBytes: $0.dirtyBytes,
                    allocatedBytes: $0.allocatedBytes)
            },
            chunkCount: usage.chunkCount, chunkBytes: usage.chunkBytes,
            chunkAllocatedBytes: usage.chunkAllocatedBytes, referencedBytes: usage.referencedBytes,
            deltaAllocatedBytes: usage.deltaAllocatedBytes)
    }

    /// Has this daemon end soon after the answer, and leave all that is mounted to the one that asks.
    func makeRoom() -> Done {
        _ = try? NamedThread("leave", detached: true) {
            usleep(Self.answerMicroseconds)
            kill(getpid(), SIGUSR2)
        }
        return Done()
    }

    /// Work that comes up now and then: what killed clients and lazy unmounts have left.
    func tidy() {
        containers.releaseAbandoned()
        mounts.releaseLingering()
        recordings.tidy()
        watchSources()
        if let blocks { traces.tidy(blocks) }
    }

    static func info(_ record: ImageRecord) -> ImageInfo {
        ImageInfo(
            name: record.name, digest: record.digest.map { "\($0)" }, created: Timestamp.text(record.created),
            sizeBytes: record.sizeBytes, dataBytes: record.dataBytes, localBytes: record.localBytes,
            source: record.source, broken: record.brokenReason)
    }

    static func info(_ record: VolumeRecord) -> VolumeInfo {
        VolumeInfo(
            name: record.name, image: record.parentImage, created: Timestamp.text(record.created),
            sizeBytes: record.sizeBytes, dirtyBytes: record.dirtyBytes, inUse: record.inUse,
            broken: record.brokenReason)
    }

    /// The second number of /proc/self/statm, in pages.
    static func residentBytes() -> UInt64 {
        guard let bytes = try? File.small("/proc/self/statm") else { return 0 }
        let fields = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        return (fields.count > 1 ? UInt64(fields[1]) ?? 0 : 0) * UInt64(sysconf(Int32(_SC_PAGESIZE)))
    }
}
