// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import Blocks
import Ext4

/// Traces under way: whose reads are taken down, and which file each block belongs to.
final class TraceTable: Sendable {
    private struct Trace {
        let watch: ReadWatch
        let owners: BlockOwners?
        var asked = MonotonicTime.now
    }

    private let traces = Lock([String: Trace]())

    private static let limit = 16
    private static let patienceSeconds = 15.0
    private static let filesOfRead = 3

    /// - Parameter owners: nil when the files are not known.
    func begin(
        _ name: String, _ owners: BlockOwners?, _ blocks: BlockFileSystem
    ) throws(Failure) -> TraceInfo {
        let id = "t" + String(UInt64.random(in: 0...UInt64.max), radix: 36)
        try traces.withLock { (traces) throws(Failure) in
            if traces.count >= Self.limit {
                throw Failure(.inUse, "\(Self.limit) traces are running already; end one")
            }
            traces[id] = Trace(watch: blocks.beginWatch(name), owners: owners)
        }
        return TraceInfo(id: id, reads: [], dropped: 0)
    }

    func take(_ id: String, waitMs: Int) throws(Failure) -> TraceInfo {
        let found = traces.withLock { traces in
            traces[id]?.asked = .now
            return traces[id]
        }
        guard let found else {
            throw Failure(.notFound, "trace \(id): not known; nobody asked for it for long, or it was ended")
        }
        let taken = found.watch.take(waitSeconds: Double(min(max(0, waitMs), 5000)) / 1000)
        traces.withLock { $0[id]?.asked = .now }
        return TraceInfo(
            id: id, reads: taken.reads.map { Self.info($0, found.owners) }, dropped: taken.dropped)
    }

    func end(_ id: String, _ blocks: BlockFileSystem) {
        if let trace = traces.withLock({ $0.removeValue(forKey: id) }) { blocks.endWatch(trace.watch) }
    }

    /// Ends those that nobody asks for.
    func tidy(_ blocks: BlockFileSystem) {
        let idle = traces.withLock { traces in
            traces.filter { MonotonicTime.now.seconds(since: $0.value.asked) > Self.patienceSeconds }.map(
                \.key)
        }
        for id in idle { end(id, blocks) }
    }

    private static func info(_ read: WatchedRead, _ owners: BlockOwners?) -> TraceInfo.Read {
        var files: [String] = []
        if let owners {
            let first = UInt32(clamping: read.offset / UInt64(Block.bytes))
            let count = UInt32(clamping: max(1, (read.byteCount + Block.bytes - 1) / Block.bytes))
            for block in first..<(first.addingReportingOverflow(count).partialValue) {
                guard let path = owners.path(of: block) else { continue }
                let text = "/" + String(decoding: path, as: UTF8.self)
                if files.last != text { files.append(text) }
                if files.count == filesOfRead { break }
            }
        }
        return TraceInfo.Read(
            seconds: read.seconds, offset: read.offset, bytes: read.byteCount,
            durationMs: read.durationSeconds * 1000, source: read.origin.name, files: files)
    }
}
