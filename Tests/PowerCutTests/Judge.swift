// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Glibc

@testable import Volumes

/// Opens a store after a power cut, and says which promises it does not keep.
enum Judge {
    /// - Parameters:
    ///   - expected: after the last step that was acknowledged.
    ///   - next: the step that was under way; it may have been done or not.
    static func problems(of root: String, _ expected: Expected, _ next: Step?) -> [String] {
        do {
            let store = try VolumeStore(root: root, bootID: bootID(2))
            defer { store.close() }
            var problems = try images(store, expected, next) + volumes(store, expected, next)
            let report = try store.check(CheckOptions(repairs: false, isDeep: true)) { _, _, _ in true }
            // Space that belonged to nothing is found and freed by every start: that is no loss.
            problems += report.findings.filter { $0.outcome != .repaired }.map { "check: \($0)" }
            return problems
        } catch {
            return ["the store cannot be opened: \(error)"]
        }
    }

    private static func images(_ store: VolumeStore, _ expected: Expected, _ next: Step?) throws -> [String] {
        var after = expected
        if let next { after.apply(next) }
        let present = Set(store.images().map(\.name))
        var problems: [String] = []
        for name in present.subtracting(Set(expected.images.keys).union(after.images.keys)) {
            problems.append("image \(name) is there and was removed, or never made")
        }
        for (name, content) in expected.images.merging(after.images, uniquingKeysWith: { $1 }) {
            guard present.contains(name) else {
                if expected.images[name] != nil, after.images[name] != nil {
                    problems.append("image \(name) is lost")
                }
                continue
            }
            if try read(store.blockFile(image: name)) != content {
                problems.append("image \(name) has other content")
            }
        }
        return problems
    }

    private static func volumes(_ store: VolumeStore, _ expected: Expected, _ next: Step?) throws -> [String]
    {
        var after = expected
        if let next { after.apply(next) }
        // A flush that is under way forgets nothing of what may be.
        let isFlush =
            switch next {
            case .synchronize, .snapshot: true
            default: false
            }
        let may =
            isFlush ? expected.volumes : expected.volumes.merging(after.volumes, uniquingKeysWith: { $1 })
        let present = Set(store.volumes().map(\.name))
        var problems: [String] = []
        for (name, volume) in may {
            guard present.contains(name) else {
                let isKept = expected.volumes[name]?.isDurable == true && after.volumes[name] != nil
                if isKept { problems.append("volume \(name) is lost") }
                continue
            }
            let content = try read(store.blockFile(volume: name))
            if content.count != volume.bytes.count {
                problems.append("volume \(name) has another length")
                continue
            }
            for (index, choices) in volume.history.enumerated() {
                let block = content[index * Block.bytes..<(index + 1) * Block.bytes]
                if !choices.contains(where: { $0 == block }), !isMixture(block, choices) {
                    problems.append("volume \(name), block \(index) is none of \(choices.count) contents")
                }
            }
        }
        // A removal that was acknowledged is for good; a clone that was not flushed may be there or not.
        for name in present.subtracting(may.keys) {
            problems.append("volume \(name) is there and was removed")
        }
        return problems
    }

    /// A block that was written again in place and not flushed may be torn between sectors, as on any disk.
    private static func isMixture(_ block: ArraySlice<UInt8>, _ choices: [ArraySlice<UInt8>]) -> Bool {
        stride(from: 0, to: Block.bytes, by: 512).allSatisfy { offset in
            let sector = block[(block.startIndex + offset)..<(block.startIndex + offset + 512)]
            return choices.contains { choice in
                choice[(choice.startIndex + offset)..<(choice.startIndex + offset + 512)] == sector
            }
        }
    }

    private static func read(_ file: Snapshot) throws -> [UInt8] {
        try file.withSegments(offset: 0, count: Int(file.sizeBytes)) { segments in
            Result { try bytes(segments) }
        }
        .get()
    }

    private static func read(_ file: Volume) throws -> [UInt8] {
        try file.withSegments(offset: 0, count: Int(file.sizeBytes)) { segments in
            Result { try bytes(segments) }
        }
        .get()
    }

    private static func bytes(_ segments: [Segment]) throws -> [UInt8] {
        var bytes: [UInt8] = []
        for segment in segments {
            switch segment.source {
            case .zeros: bytes += [UInt8](repeating: 0, count: segment.byteCount)
            case .file(let descriptor, let offset):
                var piece = [UInt8](repeating: 0, count: segment.byteCount)
                let count = pread(descriptor, &piece, piece.count, off_t(offset))
                if count != piece.count { throw SystemError(EIO, "pread", "segment") }
                bytes += piece
            case .absent: throw SystemError(ENODATA, "read", "segment")
            }
        }
        return bytes
    }
}
