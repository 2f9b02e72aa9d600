// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import Glibc
import Testing

@testable import ChunkStore

/// Figures for people, taken with `SLACKER_MEASURE=1` and an optimised build.
@Suite(.enabled(if: getenv("SLACKER_MEASURE") != nil), .serialized) struct FetchMeasureTests {
    private func report(_ text: String) {
        _ = Array((text + "\n").utf8).withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
    }

    /// Half noise and half text: like an image, it shrinks to about 45 of 100.
    private func contents(_ count: Int) -> [[UInt8]] {
        let text = Array(String(repeating: "the quick brown fox jumps over 13 lazy dogs; ", count: 1500).utf8)
        return (0..<count).map { index in
            var bytes = content(UInt64(index), blocks: 16)
            for block in 0..<16 {
                let start = block * 4096 + 1600
                bytes.replaceSubrange(start..<start + 2400, with: text[(block * 31)..<(block * 31 + 2400)])
            }
            return bytes
        }
    }

    @Test func wholeImage() throws {
        let fixture = try FetchFixture(contents(4096), perPack: 1024)
        for threads in [1, 2] {
            let store = try ChunkStore(directory: fixture.directory.path + "/s\(threads)")
            let map = try store.attach(
                fixture.map.map, places: fixture.table, sources: [try store.sources.intern("x")])
            let source = fixture.source("memory")
            var limits = FetchLimits()
            limits.decoderThreads = threads
            let engine = try FetchEngine(store: store, limits: limits) { _ in source }
            let start = MonotonicTime.now
            let end = engine.fill(map, owner: 1).wait(seconds: 120)
            let seconds = MonotonicTime.now.seconds(since: start)
            let packed = Double(end?.totalBytes ?? 0) / 1e6
            report(
                "whole image, \(threads) decoders: \(packed / seconds) MB/s packed, "
                    + "\(4096 * 65536 / 1e6 / seconds) MB/s plain, \(end.map { "\($0.state)" } ?? "late")")
        }
    }

    @Test func demand() throws {
        let fixture = try FetchFixture(contents(2048))
        let source = fixture.source("memory")
        let engine = try fixture.engine([source])
        let answers = Answers()
        var total = 0.0
        for index in 0..<1024 {
            let start = MonotonicTime.now
            engine.want([fixture.handles[index * 2]], class: .demand, completion: answers.take(index))
            total += MonotonicTime.now.seconds(since: start)
            _ = answers.wait(index + 1)
        }
        report("want, with a thread begun by the source: \(total / 1024 * 1e6) us")
    }
}
