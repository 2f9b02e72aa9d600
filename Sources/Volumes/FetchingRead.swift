// SPDX-License-Identifier: Apache-2.0

import Base
public import ChunkStore

/// Reading bytes for the control path: what is absent is fetched, and the calling thread waits for it.
private enum FetchingRead {
    /// Chunks that were fetched can go again before they are read; more often than this they do not.
    static let rounds = 8

    static func run(
        _ name: String, _ engine: FetchEngine?, _ timeoutMs: Int,
        _ find: ((SegmentView) -> Found) throws(VolumeError) -> Found
    ) throws(VolumeError) -> [UInt8] {
        for _ in 0..<rounds {
            let found = try find { view in
                if let absent = view.absentBlocks() { return .absent(absent) }
                return .bytes(Result { () throws(SystemError) in try Segments.read(view.segments) })
            }
            switch found {
            case .bytes(let bytes): return try catching { () throws(SystemError) in try bytes.get() }
            case .absent(let blocks):
                guard let engine else { throw .absent(name, blocks) }
                do throws(FetchFailure) {
                    engine.noteMiss(blocks.map, blocks.range)
                    try engine.wantAndWait(blocks.handles, class: .demand, timeoutMs: timeoutMs)
                } catch {
                    throw .notFetched(name, reason: "\(error)")
                }
            }
        }
        throw .notFetched(
            name, reason: "they were dropped again before they could be read; the cache is too small")
    }

    enum Found {
        case bytes(Result<[UInt8], SystemError>)
        case absent(AbsentBlocks)
    }
}

extension Snapshot {
    /// The bytes of a range, short at the end of the file.
    ///
    /// For plain threads that are not the engine's. Errors: `.broken`, `.system`; `.absent` without an
    /// engine, `.notFetched` when it fails or takes longer than `timeoutMs`.
    public func read(
        offset: UInt64, count: Int, fetchingWith engine: FetchEngine?, timeoutMs: Int = 120_000
    ) throws(VolumeError) -> [UInt8] {
        try FetchingRead.run(source, engine, timeoutMs) { body throws(VolumeError) in
            var scratch = SegmentScratch()
            return try withSegments(offset: offset, count: count, using: &scratch, body)
        }
    }
}

extension Volume {
    /// The bytes of a range, short at the end of the file; they do not count as touched.
    ///
    /// As the method of `Snapshot`.
    public func read(
        offset: UInt64, count: Int, fetchingWith engine: FetchEngine?, timeoutMs: Int = 120_000
    ) throws(VolumeError) -> [UInt8] {
        try FetchingRead.run(name, engine, timeoutMs) { body throws(VolumeError) in
            var scratch = SegmentScratch()
            return try gate.reading { () throws(VolumeError) in
                let span = ByteSpan(offset: offset, count: count, sizeBytes: sizeBytes)
                return try withSegmentsInGate(span, &scratch, body)
            }
        }
    }
}
