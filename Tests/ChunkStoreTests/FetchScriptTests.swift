// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import Testing

@testable import ChunkStore

/// A source that does what a test tells it: serves from memory, waits, fails, lies and stops in between.
final class ScriptedSource: PackSource {
    enum Answer: Sendable {
        case serve
        case fail(SourceFailure)
        /// Nothing comes until somebody cancels.
        case hang
        /// The byte at this place of the pack is another one.
        case lie(at: UInt64)
        /// The body ends early, after so many bytes, in this way.
        case cut(after: Int, SourceFailure?)
    }

    struct Request: Sendable {
        let number: Int
        let range: Range<UInt64>
        let `class`: FetchClass
        let time: MonotonicTime
    }

    struct Script: Sendable {
        var latencySeconds = 0.0
        var bytesPerSecond: Double?
        var answer: @Sendable (Request) -> Answer = { _ in .serve }
    }

    let name: String
    private let packs: [Digest: [UInt8]]
    private let script: Lock<Script>
    private let log = Lock<[Request]>([])
    private let running = Lock(0)

    init(_ name: String, _ packs: [Digest: [UInt8]], _ script: Script = Script()) {
        self.name = name
        self.packs = packs
        self.script = Lock(script)
    }

    var requests: [Request] { log.withLock { $0 } }
    /// Requests that have not heard their end.
    var open: Int { running.withLock { $0 } }

    func play(_ script: Script) { self.script.withLock { $0 = script } }

    func fetch(
        _ object: ObjectName, sizeBytes: UInt64, range: Range<UInt64>, class: FetchClass,
        to receiver: any RangeReceiver
    ) -> any FetchCancellation {
        let request = log.withLock { log in
            let request = Request(number: log.count, range: range, class: `class`, time: .now)
            log.append(request)
            return request
        }
        running.withLock { $0 += 1 }
        let play = ScriptedFetch(script.withLock { $0 }, request, receiver)
        let bytes = packs[object.digest]
        let thread = try? NamedThread("scripted", detached: true) { [self] in
            let failure = play.run(bytes)
            running.withLock { $0 -= 1 }
            receiver.finish(failure)
        }
        if thread == nil { receiver.finish(.unavailable("no thread", retryAfterMs: nil)) }
        return play
    }
}

private final class ScriptedFetch: FetchCancellation {
    private struct State {
        var isCancelled = false
        var mayGoOn = false
    }

    private let script: ScriptedSource.Script
    private let request: ScriptedSource.Request
    private let receiver: any RangeReceiver
    private let state = Monitor(State())

    init(
        _ script: ScriptedSource.Script, _ request: ScriptedSource.Request, _ receiver: any RangeReceiver
    ) {
        self.script = script
        self.request = request
        self.receiver = receiver
    }

    func cancel() { state.withLock { $0.isCancelled = true } }
    func resume() { state.withLock { $0.mayGoOn = true } }

    /// True when it was cancelled meanwhile.
    private func sleep(_ seconds: Double) -> Bool {
        if seconds <= 0 { return state.withLock { $0.isCancelled } }
        return state.wait(until: MonotonicTime.now.advanced(bySeconds: seconds)) {
            $0.isCancelled ? true : nil
        } ?? false
    }

    func run(_ pack: [UInt8]?) -> SourceFailure? {
        if sleep(script.latencySeconds) { return .cancelled }
        guard let pack else { return .missing("no such pack") }
        var bytes = Array(pack[Int(request.range.lowerBound)..<Int(request.range.upperBound)])
        var end: SourceFailure?
        switch script.answer(request) {
        case .serve: break
        case .fail(let failure): return failure
        case .hang: return sleep(3600) ? .cancelled : nil
        case .lie(let place):
            if request.range.contains(place) { bytes[Int(place - request.range.lowerBound)] ^= 0x55 }
        case .cut(let count, let failure):
            bytes.removeLast(max(0, bytes.count - count))
            end = failure
        }
        return deliver(bytes) ?? end
    }

    private func deliver(_ bytes: [UInt8]) -> SourceFailure? {
        var offset = 0
        while offset < bytes.count {
            let count = min(16 << 10, bytes.count - offset)
            if sleep(script.bytesPerSecond.map { Double(count) / $0 } ?? 0) { return .cancelled }
            state.withLock { $0.mayGoOn = false }
            let flow = bytes.withUnsafeBytes {
                receiver.receive(UnsafeRawBufferPointer(rebasing: $0[offset..<offset + count]))
            }
            switch flow {
            case .proceed: offset += count
            case .stop: return .cancelled
            case .pause: _ = state.wait { $0.mayGoOn || $0.isCancelled ? true : nil }
            }
        }
        return nil
    }
}

/// An image of which nothing is here: a store, its map, the packs, and what the chunks hold.
final class FetchFixture {
    let directory: TemporaryDirectory
    let store: ChunkStore
    let map: ResidentMap
    let contents: [[UInt8]]
    let packs: [Digest: [UInt8]]
    let table: PlaceTable
    let handles: [ChunkHandle]

    /// - Parameters:
    ///   - order: the chunks in the order in which they lie in the packs; nil: that of the map.
    ///   - perPack: chunks in each pack.
    init(
        _ contents: [[UInt8]], sources: Int = 1, order: [Int]? = nil, perPack: Int = .max, bootChunks: Int = 0
    ) throws {
        directory = try TemporaryDirectory()
        store = try ChunkStore(directory: directory.path + "/store")
        self.contents = contents
        let blockMap = BlockMap.of(contents.map(descriptor))
        var left = (order ?? Array(contents.indices))[...]
        var places = [Place?](repeating: nil, count: contents.count)
        var infos: [PackInfo] = []
        var packs: [Digest: [UInt8]] = [:]
        try Directories.create(directory.path + "/packs")
        while !left.isEmpty {
            let members = left.prefix(perPack)
            left = left.dropFirst(perPack)
            let path = directory.path + "/pack"
            let file = try File(open: path, O_RDWR | O_CREAT | O_TRUNC)
            let writer = try PackWriter(file, level: 1)
            for index in members { try writer.add(descriptor(contents[index]), contents[index]) }
            let summary = try writer.finish()
            packs[summary.digest] = try file.read(count: Int(summary.sizeBytes), at: 0)
            rename(path, directory.path + "/packs/" + summary.digest.hex)
            for (index, entry) in zip(members, summary.directory.entries) {
                places[index] = Place(
                    pack: infos.count, offset: entry.offset, byteCount: UInt32(entry.byteCount),
                    coding: entry.coding)
            }
            infos.append(PackInfo(digest: summary.digest, sizeBytes: summary.sizeBytes))
        }
        self.packs = packs
        table = PlaceTable(
            packs: infos, places: places, bootPack: bootChunks > 0 ? 0 : nil, bootChunks: bootChunks)
        let ids = try store.sources.intern((0..<sources).map { "test:\($0)" })
        map = try store.attach(blockMap, places: table, sources: ids)
        handles = map.chunks
    }

    func engine(_ sources: [any PackSource], _ limits: FetchLimits = FetchLimits()) throws -> FetchEngine {
        try FetchEngine(store: store, limits: limits) { id in
            Int(id.index) < sources.count ? sources[Int(id.index)] : nil
        }
    }

    func source(_ name: String, _ script: ScriptedSource.Script = .init()) -> ScriptedSource {
        ScriptedSource(name, packs, script)
    }

    var presentCount: Int { handles.count { store.isPresent($0) } }

    /// Every chunk that is present holds what it should.
    func checkPresent() throws {
        for (handle, bytes) in zip(handles, contents) where store.isPresent(handle) {
            #expect(same(try store.read(descriptor(bytes)), bytes))
        }
    }

    func place(_ index: Int) -> Place {
        table.places[index] ?? Place(pack: 0, offset: 0, byteCount: 1, coding: .plain)
    }
    func offset(_ index: Int) -> UInt64 { place(index).offset }
}

/// Contents of which half compress well and half not at all.
func mixedContents(_ count: Int, blocks: Int = 16, seed: UInt64 = 1) -> [[UInt8]] {
    (0..<count).map { index in
        var bytes = content(seed << 32 | UInt64(index), blocks: blocks)
        if index % 2 == 1 {
            bytes.withUnsafeMutableBytes { bytes in
                for block in 0..<blocks {
                    if let start = bytes.baseAddress {
                        memset(start + block * 4096 + 16, Int32(index & 127), 4000)
                    }
                }
            }
        }
        return bytes
    }
}

/// Waits until something holds, and says whether it did in time.
func eventually(seconds: Double = 5, _ condition: () -> Bool) -> Bool {
    let deadline = MonotonicTime.now.advanced(bySeconds: seconds)
    while MonotonicTime.now < deadline {
        if condition() { return true }
        usleep(2000)
    }
    return condition()
}

/// Collects answers of wants.
final class Answers: Sendable {
    private let state = Monitor<[(number: Int, failure: FetchFailure?)]>([])

    func take(_ number: Int) -> @Sendable (FetchFailure?) -> Void {
        { [self] failure in state.withLock { $0.append((number, failure)) } }
    }

    var all: [(number: Int, failure: FetchFailure?)] { state.wait { $0 } }
    var failures: [FetchFailure] { all.compactMap(\.failure) }

    func wait(_ count: Int, seconds: Double = 10) -> Bool {
        state.wait(until: MonotonicTime.now.advanced(bySeconds: seconds)) { $0.count >= count ? true : nil }
            ?? false
    }
}
