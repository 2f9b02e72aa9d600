// SPDX-License-Identifier: Apache-2.0

import Base
import BlockFS
import Blocks
import ChunkStore
import Glibc
import Volumes

/// One pack of plain chunks that is delivered when the test says so, or not at all.
final class ScriptedSource: PackSource {
    private struct State {
        var isHeld = false
        var failure: SourceFailure?
        var held: [Delivery] = []
        var requests = 0
    }

    let name = "scripted"
    private let bytes: [UInt8]
    private let state = Lock(State())

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// Requests so far.
    var requests: Int { state.withLock { $0.requests } }

    /// Answers nothing until `release`.
    func hold() {
        state.withLock { $0.isHeld = true }
    }

    /// Answers what was asked meanwhile, and all that follows at once.
    func release() {
        let held = state.withLock { state in
            defer { state.held = [] }
            state.isHeld = false
            return state.held
        }
        held.forEach { $0.run() }
    }

    /// Every request fails so from now on; nil: none does.
    func fail(_ failure: SourceFailure?) {
        state.withLock { $0.failure = failure }
    }

    func fetch(
        _ object: ObjectName, sizeBytes: UInt64, range: Range<UInt64>, class: FetchClass,
        to receiver: any RangeReceiver
    ) -> any FetchCancellation {
        let part = Array(bytes[Int(range.lowerBound)..<Int(range.upperBound)])
        let delivery = state.withLock { state -> Delivery in
            state.requests += 1
            let delivery = Delivery(part, receiver, state.failure)
            if state.isHeld { state.held.append(delivery) }
            return delivery
        }
        if state.withLock({ !$0.isHeld }) { delivery.run() }
        return delivery
    }

    /// One range on its way; the receiver hears it on whatever thread moves it on.
    final class Delivery: FetchCancellation {
        private struct State {
            var next = 0
            var isRunning = false
            var mustRun = false
            var isOver = false
        }

        private let bytes: [UInt8]
        private let receiver: any RangeReceiver
        private let failure: SourceFailure?
        private let state = Lock(State())

        init(_ bytes: [UInt8], _ receiver: any RangeReceiver, _ failure: SourceFailure?) {
            self.bytes = bytes
            self.receiver = receiver
            self.failure = failure
        }

        func resume() { run() }

        func cancel() {
            let isOurs = state.withLock { state in
                defer { state.isOver = true }
                return !state.isOver
            }
            if isOurs { receiver.finish(.cancelled) }
        }

        /// Delivers until the receiver pauses; a resume that comes meanwhile makes it go on.
        func run() {
            let begins = state.withLock { state in
                state.mustRun = true
                defer { state.isRunning = true }
                return !state.isRunning
            }
            if !begins { return }
            while state.withLock({ state in
                state.isRunning = state.mustRun && !state.isOver
                state.mustRun = false
                return state.isRunning
            }) { deliver() }
        }

        private func deliver() {
            if let failure { return finish(failure) }
            while true {
                let next = state.withLock { $0.next }
                if next == bytes.count { return finish(nil) }
                let end = min(bytes.count, next + 65536)
                let flow = bytes[next..<end].withUnsafeBytes { receiver.receive($0) }
                switch flow {
                case .proceed: state.withLock { $0.next = end }
                case .pause: return
                case .stop: return finish(.cancelled)
                }
            }
        }

        private func finish(_ failure: SourceFailure?) {
            let isOurs = state.withLock { state in
                defer { state.isOver = true }
                return !state.isOver
            }
            if isOurs { receiver.finish(failure) }
        }
    }
}

extension MountedStore {
    /// Adds an image of plain chunks of 16 blocks of which none is here; the content is the pack.
    func addAbsentImage(_ name: String, _ content: [UInt8]) throws {
        var builder = BlockMapBuilder(blockCount: UInt32(content.count / Block.bytes))
        var places: [Place?] = []
        for start in stride(from: 0, to: content.count, by: Block.maximumChunkBytes) {
            let piece = Array(content[start..<min(start + Block.maximumChunkBytes, content.count)])
            let count = UInt8(piece.count / Block.bytes)
            builder.add(
                start: UInt32(start / Block.bytes),
                chunk: ChunkDescriptor(digest: Digest(hashing: piece), blockCount: count), count: count)
            places.append(
                Place(pack: 0, offset: UInt64(start), byteCount: UInt32(piece.count), coding: .plain))
        }
        let pack = PackInfo(digest: Digest(hashing: content), sizeBytes: UInt64(content.count))
        _ = try store.addImage(
            name: name, map: EncodedBlockMap(builder.finish()),
            places: PlaceTable(packs: [pack], places: places), sources: ["test:1"],
            configuration: Array("{}".utf8), source: "test", session: nil)
    }

    /// Waits until so many requests are parked, at most five seconds.
    func waitUntilParked(_ count: Int) -> Bool {
        let limit = MonotonicTime.now.advanced(bySeconds: 5)
        while fileSystem.waitingRequests != count {
            if MonotonicTime.now > limit { return false }
            usleep(1000)
        }
        return true
    }
}

/// Runs a body on a thread of its own and keeps what it returns.
final class Background<Value: Sendable>: Sendable {
    private let result = Monitor<Value?>(nil)
    private let thread: NamedThread

    init(_ body: @escaping @Sendable () -> Value) throws {
        let result = result
        thread = try NamedThread("test") {
            let value = body()
            result.withLock { $0 = value }
        }
    }

    /// What the body returned; nil when it takes longer.
    func value(seconds: Double = 10) -> Value? {
        result.wait(until: .now.advanced(bySeconds: seconds)) { $0 }
    }
}
