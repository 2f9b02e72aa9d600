// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc
import TestSupport
import Testing

@testable import Volumes

/// Records what a store writes, cuts the power at every moment, and holds the store to its promises.
///
/// `SLACKER_POWER_CUTS` is the number of cuts, `SLACKER_POWER_SEED` the seed: see tools/powercut.
@Suite(.serialized) struct PowerCutTests {
    private static let recordVariable = "SLACKER_POWER_RECORD"

    private static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// The process that is watched: does the steps of a script and says after each that it is done.
    @Test(.enabled(if: variable(recordVariable) != nil)) func record() throws {
        let words = try #require(Self.variable(Self.recordVariable)).split(separator: ",").map(String.init)
        let (directory, seed, steps) = (words[0], try #require(UInt64(words[1])), try #require(Int(words[2])))
        let told = try File(open: directory + "/told", O_WRONLY | O_CREAT)
        let store = try VolumeStore(root: directory + "/root", bootID: bootID(1))
        var script = Script(seed: seed)
        for number in 1...steps {
            try Self.execute(script.next(), store)
            let line = Array("\(number)\n".utf8)
            #expect(Glibc.write(told.fd, line, line.count) == line.count)
        }
        store.close()
    }

    @Test(.enabled(if: variable(recordVariable) == nil), .timeLimit(.minutes(60)))
    func everyPromiseIsKept() throws {
        let cuts = Self.variable("SLACKER_POWER_CUTS").flatMap { Int($0) } ?? 90
        let seed = Self.variable("SLACKER_POWER_SEED").flatMap { UInt64($0) } ?? 1
        var done = 0
        var round: UInt64 = 0
        while done < cuts {
            done += try cut(seed: seed &+ round, steps: cuts > 1000 ? 150 : 60, limit: cuts - done) {
                problem in
                Issue.record("\(problem)")
            }
            print("power cuts: \(done) in \(round + 1) recordings, seeds from \(seed)")
            round += 1
        }
    }

    /// The rig can tell right from wrong: with a disk that lies about flushes promises are broken.
    @Test(.enabled(if: variable(recordVariable) == nil), .timeLimit(.minutes(5)))
    func aDiskThatLiesIsNoticed() throws {
        var problems = 0
        _ = try cut(seed: 7, steps: 40, limit: 60, isHonest: false) { _ in problems += 1 }
        #expect(problems > 10)
    }

    /// One recording, and cuts at moments all over it; returns how many.
    private func cut(
        seed: UInt64, steps: Int, limit: Int, isHonest: Bool = true, onProblem: (String) -> Void
    ) throws -> Int {
        let directory = try Scratch()
        let events = try Self.watch(directory.path, seed: seed, steps: steps)
        var random = SplitMix(seed: seed ^ 0x5EED)
        var disk = Disk(isHonest: isHonest)
        var script = Script(seed: seed)
        var acknowledged = 0
        // Each moment is cut three times: with all, with the least, and with some of what was not flushed.
        let stride = max(1, events.count * 3 / max(limit, 1))
        var done = 0
        for (number, event) in events.enumerated() {
            disk.apply(event, number)
            while acknowledged < disk.acknowledged {
                _ = script.next()
                acknowledged += 1
            }
            guard number % stride == 0, done < limit else { continue }
            for luck in [Disk.Luck.all, .none, .some] {
                let place = directory.path + "/cut"
                try disk.materialise(at: place, luck, &random)
                var after = script
                let next = acknowledged < steps ? after.next() : nil
                let problems = Judge.problems(of: place, script.expected, next)
                if !problems.isEmpty {
                    onProblem(
                        "seed \(seed), event \(number) of \(events.count) (\(luck)), \(acknowledged) steps done: "
                            + "\(problems)")
                }
                try Directories.removeTree(place)
                done += 1
            }
        }
        return max(done, 1)
    }

    private static func watch(_ directory: String, seed: UInt64, steps: Int) throws -> [Event] {
        let log = directory + "/strace"
        let calls =
            "openat,close,write,pwrite64,pwritev,pwritev2,ftruncate,fallocate,fsync,fdatasync,syncfs,sync_file_range,"
            + "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,linkat,copy_file_range,splice,sendfile"
        let result = try Subprocess.run(
            [
                "timeout", "-k", "5", "300", "env", "\(recordVariable)=\(directory),\(seed),\(steps)",
                "strace",
                "-f", "--seccomp-bpf", "-qq", "-xx", "-s", "2000000", "-e", "trace=" + calls, "-e",
                "signal=none",
                "-o", log, CommandLine.arguments[0], "--testing-library", "swift-testing", "--no-parallel",
                "--filter",
                "PowerCutTests.PowerCutTests/record",
            ])
        try #require(result.succeeded, "\(result.output) \(result.errors)")
        let trace = Trace(
            try File.small(log, limitBytes: 1 << 30), root: directory + "/root",
            acknowledgements: directory + "/told")
        try #require(trace.strange.isEmpty, "calls that are not understood: \(Set(trace.strange))")
        return trace.events
    }

    private static func execute(_ step: Step, _ store: VolumeStore) throws {
        switch step {
        case .addImage(let name, let content): try store.addImage(name, whole: content)
        case .clone(let image, let volume): _ = try store.clone(image: image, as: volume)
        case .write(let name, let offset, let bytes):
            let volume = try store.blockFile(volume: name)
            var done = 0
            while done < bytes.count {
                done += try volume.write(at: UInt64(offset + done), count: bytes.count - done) {
                    (descriptor, position) throws(SystemError) in
                    let count = bytes[done...].withUnsafeBytes { part in
                        retrying { pwrite(descriptor, part.baseAddress, part.count, off_t(position)) }
                    }
                    if count < 0 { throw SystemError.last("pwrite", name) }
                    return count
                }
            }
        case .discard(let name, let offset, let count):
            try store.blockFile(volume: name).discard(offset: UInt64(offset), count: UInt64(count))
        case .synchronize(let name): try store.blockFile(volume: name).synchronize()
        case .snapshot(let volume, let image): _ = try store.snapshot(volume: volume, as: image)
        case .waitUntilSealed(let image): try store.waitUntilSealed(image)
        case .remove(let name): try store.remove(name)
        }
    }
}

/// A directory in memory that goes with the object: flushes there cost nothing, and are what is watched.
private final class Scratch {
    let path: String

    init() throws {
        var template = Array("/dev/shm/slacker-power-XXXXXX".utf8CString)
        path = String(cString: try #require(mkdtemp(&template)))
    }

    deinit { try? Directories.removeTree(path) }
}

func bootID(_ number: UInt8) throws -> BootID {
    try #require(BootID(bytes: [UInt8](repeating: number, count: BootID.byteCount)))
}

extension VolumeStore {
    fileprivate func addImage(_ name: String, whole content: [UInt8]) throws {
        let session = chunks.beginIngest()
        var builder = BlockMapBuilder(blockCount: UInt32(content.count / Block.bytes))
        for start in stride(from: 0, to: content.count, by: Block.maximumChunkBytes) {
            let piece = Array(content[start..<min(start + Block.maximumChunkBytes, content.count)])
            guard let chunk = try piece.withUnsafeBytes({ try session.add($0) }) else { continue }
            builder.add(start: UInt32(start / Block.bytes), chunk: chunk, count: chunk.blockCount)
        }
        _ = try addImage(
            name: name, map: builder.finish(), configuration: Array("{}".utf8), source: "test",
            session: session)
    }
}
