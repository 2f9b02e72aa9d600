// SPDX-License-Identifier: Apache-2.0

public import Base
public import Blocks
public import ChunkStore
import Synchronization

/// The immutable content of an image, readable as a block file from any number of threads.
///
/// A snapshot made of a volume is at first a frozen delta over the volume's parent; in the background it is
/// sealed, that is turned into one block map over the chunk store. Readers notice nothing.
public final class Snapshot: Sendable {
    /// What the blocks come from.
    enum Content {
        /// `origin` is the digest of the snapshot that this one was made on.
        case sealed(ResidentMap, Digest, origin: Digest?)
        case layered(Delta, below: Snapshot?)
        case broken(String)
    }

    /// Names the snapshot for as long as it lives; never used again.
    public let id: UInt64
    /// The length of the block file, a multiple of the block size.
    public let sizeBytes: UInt64
    /// The OCI image configuration, JSON.
    public let configuration: [UInt8]
    /// Where it came from.
    public let source: String
    let created: Int64
    let chunks: ChunkStore

    private let content: Lock<Content>
    private let places: Lock<[String]>
    /// The sealed map's address once there is one, else 0: readers need neither the lock nor a count.
    ///
    /// `content` holds the reference and never lets go of it again.
    private let sealedMap = Atomic<UInt>(0)

    /// - Parameter sources: URIs from which absent chunks can be fetched, in the order in which to ask.
    init(
        id: UInt64, blockCount: UInt32, configuration: [UInt8], source: String, created: Int64,
        chunks: ChunkStore, sources: [String] = [], content: Content
    ) {
        self.id = id
        self.sizeBytes = UInt64(blockCount) * UInt64(Block.bytes)
        self.configuration = configuration
        self.source = source
        self.created = created
        self.chunks = chunks
        self.content = Lock(content)
        places = Lock(sources)
        if case .sealed(let map, _, _) = content { publish(map) }
    }

    private func publish(_ map: ResidentMap) {
        sealedMap.store(UInt(bitPattern: Unmanaged.passUnretained(map).toOpaque()), ordering: .releasing)
    }

    @inline(__always)
    private var unmanagedMap: Unmanaged<ResidentMap>? {
        UnsafeRawPointer(bitPattern: sealedMap.load(ordering: .acquiring)).map { .fromOpaque($0) }
    }

    /// The sealed map; nil before.
    public var residentMap: ResidentMap? { unmanagedMap?.takeUnretainedValue() }

    /// URIs from which absent chunks can be fetched, in the order in which to ask.
    public var sources: [String] { places.withLock { $0 } }

    func setSources(_ uris: [String]) {
        places.withLock { $0 = uris }
    }

    var blockCount: UInt32 { UInt32(sizeBytes / UInt64(Block.bytes)) }

    /// What the blocks come from right now.
    var currentContent: Content { content.withLock { $0 } }

    /// Switches to the block map with the same content; readers of the frozen delta finish in peace.
    func seal(_ map: ResidentMap, digest: Digest, origin: Digest?) {
        content.withLock {
            $0 = .sealed(map, digest, origin: origin)
            publish(map)
        }
    }

    /// The whole content lies in the chunk store.
    public var isSealed: Bool { sealedMap.load(ordering: .acquiring) != 0 }

    /// The block map, once it is sealed; built anew at each call, so keep it.
    public var map: BlockMap? { residentMap?.map }

    /// SHA-256 of the encoded block map, once it is sealed.
    public var digest: Digest? {
        if case .sealed(_, let digest, _) = currentContent { return digest }
        return nil
    }

    /// Digest of the snapshot that this one was made on, where that is known and sealed.
    public var parentDigest: Digest? {
        switch currentContent {
        case .sealed(_, _, let origin): origin
        case .layered(_, let below): below?.digest
        case .broken: nil
        }
    }

    /// The snapshot below, while this one is not sealed.
    var below: Snapshot? {
        if case .layered(_, let below) = currentContent { return below }
        return nil
    }

    /// Why it cannot be read; nil when it can.
    public var brokenReason: String? {
        switch currentContent {
        case .sealed: nil
        case .layered(let delta, let below): delta.brokenReason ?? below?.brokenReason
        case .broken(let reason): reason
        }
    }

    // MARK: Reading

    /// Finds where bytes lie and calls `body` with the pieces in order; they stay valid inside `body` only.
    ///
    /// Short at the end of the file. For whoever reads much, as `scratch` is used again. Errors: `.broken`.
    public func withSegments<T>(
        offset: UInt64, count: Int, using scratch: inout SegmentScratch, _ body: (SegmentView) -> T
    ) throws(VolumeError) -> T {
        let span = ByteSpan(offset: offset, count: count, sizeBytes: sizeBytes)
        return try chunks.withStableSlots { () throws(VolumeError) -> T in
            defer { scratch.reset() }
            try appendSegments(for: span.blocks, to: &scratch)
            return scratch.view(span, body)
        }
    }

    /// As the other one, for those who read once in a while.
    public func withSegments<T>(
        offset: UInt64, count: Int, _ body: ([Segment]) -> T
    ) throws(VolumeError) -> T {
        var scratch = SegmentScratch()
        return try withSegments(offset: offset, count: count, using: &scratch) { body(Array($0.segments)) }
    }

    /// The first offset at or after `offset` that may hold something else than zeros; nil when there is none.
    public func seekData(from offset: UInt64) throws(VolumeError) -> UInt64? {
        try Seek.data(from: offset, sizeBytes: sizeBytes, nextData)
    }

    /// The first offset at or after `offset` in a hole, the end of the file if there is none before it; nil
    /// past the end.
    public func seekHole(from offset: UInt64) throws(VolumeError) -> UInt64? {
        try Seek.hole(from: offset, sizeBytes: sizeBytes, nextHole)
    }

    /// Appends the segments of a range that lies within the snapshot; must run inside `withStableSlots`.
    func appendSegments(for range: BlockRange, to scratch: inout SegmentScratch) throws(VolumeError) {
        if let map = unmanagedMap {
            scratch.base = map
            return map._withUnsafeGuaranteedRef { $0.appendSegments(for: range, to: &scratch.segments) }
        }
        switch currentContent {
        case .sealed(let map, _, _):
            scratch.base = .passUnretained(map)
            map.appendSegments(for: range, to: &scratch.segments)
        case .broken(let reason): throw .broken("snapshot", reason: reason)
        case .layered(let delta, let below):
            scratch.holders.append(delta)
            if let below { scratch.holders.append(below) }
            try delta.appendSegments(for: range, below: below, to: &scratch)
        }
    }

    /// The first block in [block, limit) that may not be zeros, else `limit`.
    func nextData(from block: UInt32, to limit: UInt32) throws(VolumeError) -> UInt32 {
        switch currentContent {
        case .sealed(let map, _, _): Seek.nextData(map, from: block, to: limit)
        case .broken(let reason): throw .broken("snapshot", reason: reason)
        case .layered(let delta, let below): try delta.nextData(from: block, to: limit, below: below)
        }
    }

    /// The first block in [block, limit) that is a hole, else `limit`.
    func nextHole(from block: UInt32, to limit: UInt32) throws(VolumeError) -> UInt32 {
        switch currentContent {
        case .sealed(let map, _, _): Seek.nextHole(map, from: block, to: limit)
        case .broken(let reason): throw .broken("snapshot", reason: reason)
        case .layered(let delta, let below): try delta.nextHole(from: block, to: limit, below: below)
        }
    }
}
