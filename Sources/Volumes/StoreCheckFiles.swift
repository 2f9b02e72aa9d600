// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc

/// Chunks by their bytes, files by their names, and where what cannot be mended is put aside.
extension StoreCheck {
    private var quarantine: String { registry.root + "/quarantine" }

    // MARK: Chunks

    /// - Parameter maps: every map, and what to call it.
    mutating func checkChunks(_ maps: [String: ResidentMap]) {
        let progress = progress
        let (damaged, bytes) = registry.chunks.verifyAll { progress("chunks", $0, $1) }
        report.verifiedBytes = bytes
        if damaged.isEmpty { return }
        let users = users(of: Set(damaged.map(\.chunk)), maps)
        for chunk in damaged { mend(chunk, users[chunk.chunk] ?? []) }
    }

    private func users(
        of chunks: Set<ChunkDescriptor>, _ maps: [String: ResidentMap]
    ) -> [ChunkDescriptor: [String]] {
        var users: [ChunkDescriptor: [String]] = [:]
        for (subject, map) in maps.sorted(by: { $0.key < $1.key }) {
            for chunk in map.map.chunks where chunks.contains(chunk) {
                users[chunk, default: []].append(subject)
            }
        }
        return users
    }

    private mutating func mend(_ damaged: DamagedChunk, _ users: [String]) {
        let subject = "chunk \(damaged.chunk.digest)"
        let names = users.isEmpty ? "no image" : users.prefix(3).joined(separator: ", ")
        let problem = "\(damaged.reason), used by \(names)"
        if !options.repairs {
            let remedy =
                damaged.canBeFetched ? "can be fetched again with --repair" : "import or pull its image again"
            return report.add(subject, problem, .open, remedy)
        }
        do {
            let copy = damaged.canBeFetched ? nil : try keep(damaged)
            guard try registry.chunks.withdraw(damaged) else { return }
            if let copy {
                let remedy = "kept as \(copy); reads of it fail until its image is imported again"
                report.add(subject, problem, .quarantined, remedy)
            } else {
                report.add(subject, problem, .repaired, "it is fetched again when it is next read")
            }
        } catch {
            report.add(subject, problem, .open, "could not be put aside: \(error)")
        }
    }

    /// Writes the bytes of a damaged chunk into the quarantine.
    private func keep(_ damaged: DamagedChunk) throws(SystemError) -> String {
        try Directories.create(quarantine)
        let path = quarantine + "/" + damaged.chunk.digest.hex + ".chunk"
        if let bytes = registry.chunks.damagedBytes(damaged) {
            try Directories.replaceFile(path, with: bytes)
        }
        return path
    }

    // MARK: Files

    /// Where files of rows lie.
    private static let directories = ["maps", "profiles", "deltas"]

    func listFiles() throws(VolumeError) -> [String] {
        try catching { () throws(SystemError) in
            var files: [String] = []
            for directory in Self.directories {
                let names = try Directories.names(in: registry.root + "/" + directory)
                files += names.map { directory + "/" + $0 }
            }
            return files.sorted()
        }
    }

    /// Files that no row names; a start removes them, unless something is damaged and its needs are unknown.
    ///
    /// - Parameter files: those that were there when the check began; what came since is somebody's work.
    mutating func checkFiles(_ files: [String]) {
        let known = knownFiles()
        var strays = files.filter { !known.contains($0) }.map { registry.root + "/" + $0 }
        // Those of an image or a volume that has just been removed go by themselves.
        for _ in 0..<50 where !strays.isEmpty {
            usleep(20_000)
            strays = strays.filter(Directories.exists)
        }
        for path in strays {
            if !options.repairs {
                report.add(path, "nothing refers to it", .open, "can be put aside with --repair")
                continue
            }
            do {
                try putAside(path)
                report.add(path, "nothing refers to it", .repaired, "moved to \(quarantine)")
            } catch {
                report.add(path, "nothing refers to it", .open, "could not be put aside: \(error)")
            }
        }
    }

    private func putAside(_ path: String) throws(SystemError) {
        try Directories.create(quarantine)
        let name = path.split(separator: "/").last.map(String.init) ?? "file"
        if rename(path, quarantine + "/" + name) < 0 { throw SystemError.last("rename", path) }
    }

    private func knownFiles() -> Set<String> {
        let state = registry.state.withLock { $0 }
        var known: Set<String> = []
        for digest in Set(state.snapshots.values.compactMap(\.digest)).union(state.pendingMaps.keys) {
            for name in registry.maps.names(digest) { known.formUnion(["maps/" + name, "profiles/" + name]) }
        }
        for entry in state.volumes.values {
            known.formUnion(Self.names(entry.volume.gate.reading { entry.volume.layers.delta }))
        }
        for snapshot in state.snapshots.values {
            if case .layered(let delta, _) = snapshot.currentContent { known.formUnion(Self.names(delta)) }
        }
        // Of damaged rows only the catalog knows what they had.
        let rows = try? registry.catalog.load()
        for row in rows?.snapshots ?? [] {
            if let digest = row.map { known.formUnion(registry.maps.names(digest).map { "maps/" + $0 }) }
            if let delta = row.delta { known.formUnion(Self.names(delta)) }
        }
        for row in rows?.volumes ?? [] { known.formUnion(Self.names(row.delta)) }
        return known
    }

    private static func names(_ delta: Delta) -> [String] { names(delta.id) }

    private static func names(_ delta: UInt64) -> [String] {
        [".data", ".log", ".log.new"].map { "deltas/" + Delta.hex(delta) + $0 }
    }
}

extension VolumeStore {
    /// Checks the state directory, and mends it where that is asked for, beside whatever else is done with it.
    ///
    /// - Parameter progress: gets what is being done, and bytes done of bytes in all; false ends a deep check.
    /// Errors: `.catalog`, `.system`, when the check itself cannot be made.
    public func check(
        _ options: CheckOptions = CheckOptions(),
        progress: @escaping (_ phase: String, _ doneBytes: UInt64, _ totalBytes: UInt64) -> Bool = {
            _, _, _ in
            true
        }
    ) throws(VolumeError) -> CheckReport {
        var check = StoreCheck(registry, options, progress: progress)
        try check.run()
        return check.report
    }
}
