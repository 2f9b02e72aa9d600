// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import ChunkStore
import Volumes

extension Driver {
    /// Volumes that have a sample of their own; the sums count all.
    private static let volumeLimit = 1000

    /// Everything that is counted, in Prometheus' text format.
    ///
    /// Costs a walk over images and volumes, no block map of which is looked into.
    func metrics() -> String {
        var text = MetricsText()
        addDaemon(&text)
        if let activity = blocks?.activity { addReads(activity, &text) }
        let status = network.engine.status()
        addFetching(status, &text)
        addSources(status, &text)
        addStore(&text)
        addVolumes(&text)
        addOperations(&text)
        return text.text
    }

    private func addDaemon(_ text: inout MetricsText) {
        text.family("build_info", .gauge, "Always 1; the version is a label.")
        text.sample("build_info", [("version", Version.program)], UInt64(1))
        text.single("uptime_seconds", .gauge, "Since the daemon serves.", uptimeSeconds)
        text.single("resident_memory_bytes", .gauge, "Memory of the daemon.", Self.residentBytes())
        text.single(
            "restarts_total", .counter, "Daemons that have served this run directory before this one.",
            starts.before)
        text.single(
            "unclean_restarts_total", .counter, "Those of them that did not end in order.",
            starts.uncleanBefore)
    }

    private func addReads(_ activity: BlockActivity, _ text: inout MetricsText) {
        text.family("fuse_requests_total", .counter, "Requests of the kernel to the block files.")
        for (kind, count) in activity.requests {
            text.sample("fuse_requests_total", [("op", kind.name)], count)
        }
        text.single("fuse_errors_total", .counter, "Requests answered with an error.", activity.errors)
        text.single("fuse_waiting_requests", .gauge, "Requests that wait for blocks.", waitingRequests)
        text.family(
            "read_seconds", .histogram,
            "Reads that missed the kernel's page cache, by where the bytes came from, until answered.")
        for (origin, durations) in activity.reads {
            text.histogram("read_seconds", [("source", origin.name)], durations)
        }
        text.family("write_seconds", .histogram, "Writes to volumes.")
        text.histogram("write_seconds", [], activity.writes)
        text.family("fsync_seconds", .histogram, "Flushes of volumes.")
        text.histogram("fsync_seconds", [], activity.flushes)
        text.single("read_bytes_total", .counter, "Bytes asked for by reads.", activity.readBytes)
        text.single("written_bytes_total", .counter, "Bytes written to volumes.", activity.writtenBytes)
    }

    private func addFetching(_ status: FetchStatus, _ text: inout MetricsText) {
        func each(
            _ name: String, _ kind: MetricsText.Kind, _ help: String, _ value: (FetchStatus.OfClass) -> UInt64
        ) {
            text.family(name, kind, help)
            for item in status.classes {
                text.sample(name, [("class", item.class.name)], value(item))
            }
        }
        each("fetch_queued_chunks", .gauge, "Chunks that wait for a request.") { UInt64($0.queuedChunks) }
        each("fetch_requests", .gauge, "Requests under way.") { UInt64($0.requests) }
        each("fetch_in_flight_bytes", .gauge, "Bytes these are still to bring.") { $0.inFlightBytes }
        each("fetch_waiting", .gauge, "Readers and others that wait for chunks.") { UInt64($0.waiting) }
        text.family("fetch_wait_seconds", .histogram, "How long chunks were waited for, until all were here.")
        for item in status.classes {
            text.histogram("fetch_wait_seconds", [("class", item.class.name)], item.waits)
        }
        text.single(
            "fetch_failed_waits_total", .counter, "Waits that ended without the chunks.", status.failedWants)
        text.single("fetch_retries_total", .counter, "Chunks asked for again.", status.retries)
        text.single("fetch_hedges_total", .counter, "Requests raced at a second source.", status.hedges)
        text.single("fetch_hedges_won_total", .counter, "Those that were faster.", status.hedgesWon)
        text.single(
            "fetch_stalled_chunks", .gauge, "Chunks waited for although tried; 32 at most.",
            UInt64(status.stalled.count))
        text.single(
            "fetch_buffered_bytes", .gauge, "Received and not stored yet.", UInt64(status.bufferedBytes))
        text.single("fetch_stored_chunks_total", .counter, "Chunks that came.", status.storedChunks)
        text.single(
            "fetch_stored_packed_bytes_total", .counter, "Their bytes as they came, compressed.",
            status.storedPackedBytes)
        text.single(
            "fetch_stored_plain_bytes_total", .counter,
            "Their bytes as they are; by the former, the compression.",
            status.storedPlainBytes)
    }

    private func addSources(_ status: FetchStatus, _ text: inout MetricsText) {
        func each(
            _ name: String, _ kind: MetricsText.Kind, _ help: String,
            _ value: (FetchStatus.OfSource) -> UInt64
        ) {
            text.family(name, kind, help)
            for source in status.sources { text.sample(name, [("source", source.name)], value(source)) }
        }
        text.family("fetched_bytes_total", .counter, "Bytes received, by what for and where from.")
        for source in status.sources {
            for (item, bytes) in zip(status.classes, source.fetchedByClass) {
                text.sample(
                    "fetched_bytes_total", [("class", item.class.name), ("source", source.name)], bytes)
            }
        }
        each("source_up", .gauge, "0: it failed last, and is tried again now and then.") { $0.isDown ? 0 : 1 }
        each("source_requests_total", .counter, "Requests to the source.") { $0.requests }
        each("source_failures_total", .counter, "Requests that failed.") { $0.failures }
        each("source_damaged_chunks_total", .counter, "Chunks that did not match their digest.") {
            $0.damagedChunks
        }
        text.family("source_first_byte_seconds", .histogram, "From a request to its first byte.")
        for source in status.sources {
            text.histogram("source_first_byte_seconds", [("source", source.name)], source.firstBytes)
        }
    }

    private func addStore(_ text: inout MetricsText) {
        let cache = store.chunks.cacheStatus()
        let chunks = store.chunks.statistics()
        let images = store.images()
        text.single("cache_bytes", .gauge, "Chunks that could be fetched again.", cache.cachedBytes)
        text.single("cache_pinned_bytes", .gauge, "Chunks that no source has.", cache.pinnedBytes)
        text.single(
            "cache_limit_bytes", .gauge, "What the former may take; 0: no limit.",
            cache.limits.maximumBytes ?? 0)
        text.single("cache_evicted_chunks_total", .counter, "Chunks evicted.", cache.evictedChunks)
        text.single("cache_evicted_bytes_total", .counter, "Bytes evicted.", cache.evictedBytes)
        text.single(
            "cache_stuck", .gauge, "1: over a limit, and nothing may go.", UInt64(cache.isStuck ? 1 : 0))
        if let free = cache.freeBytes { text.single("disk_free_bytes", .gauge, "Free for us.", free) }
        text.single("disk_minimum_free_bytes", .gauge, "What is to stay free.", cache.limits.minimumFreeBytes)
        text.single("chunks", .gauge, "Chunks that are here.", UInt64(chunks.chunks))
        text.single("chunk_bytes", .gauge, "Their plain bytes, each counted once.", chunks.plainBytes)
        text.single("chunk_disk_bytes", .gauge, "Disk space that they take.", chunks.allocatedBytes)
        text.single(
            "absent_chunk_bytes", .gauge, "Bytes of known chunks that are not here.", chunks.absentBytes)
        text.single("images", .gauge, "Images.", UInt64(images.count))
        text.single(
            "images_broken", .gauge, "Images that cannot be used.",
            UInt64(images.count { $0.brokenReason != nil }))
        text.single(
            "image_data_bytes", .gauge, "Bytes of all images as if nothing were shared.",
            images.reduce(0) { $0 + ($1.dataBytes ?? 0) })
        text.single(
            "image_local_bytes", .gauge, "Those of them that are here; by chunk_bytes, what sharing saves.",
            images.reduce(0) { $0 + ($1.localBytes ?? 0) })
    }

    private func addVolumes(_ text: inout MetricsText) {
        let volumes = store.volumes()
        text.single("volumes", .gauge, "Volumes.", UInt64(volumes.count))
        text.single("mounts", .gauge, "Mounts.", UInt64(mounts.list().count))
        text.single("containers", .gauge, "Containers that run.", UInt64(containers.list().count))
        text.single(
            "dirty_bytes", .gauge, "Blocks of all volumes that differ from their images.",
            volumes.reduce(0) { $0 + $1.dirtyBytes })
        text.family(
            "volume_dirty_bytes", .gauge, "The same of each volume, \(Self.volumeLimit) of them at most.")
        for volume in volumes.prefix(Self.volumeLimit) {
            text.sample("volume_dirty_bytes", [("volume", volume.name)], volume.dirtyBytes)
        }
    }

    private func addOperations(_ text: inout MetricsText) {
        text.single(
            "operations", .gauge, "Imports, pulls, pushes and the like that run.",
            UInt64(operations.running().count))
        text.family("operations_total", .counter, "Those that have ended, by how.")
        for (kind, outcome, count) in operations.ended() {
            text.sample("operations_total", [("kind", kind), ("outcome", outcome)], count)
        }
    }
}
