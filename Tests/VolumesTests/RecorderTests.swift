// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import ChunkStore
import Testing

@testable import Volumes

@Suite struct RecorderTests {
    private let directory: TestDirectory
    private let store: VolumeStore
    private let remote = RemoteImage.random(blocks: 64)

    init() throws {
        directory = try TestDirectory()
        store = try VolumeStore(root: directory.path + "/root")
    }

    private func read(_ volume: Volume, _ block: Int, _ count: Int) throws {
        var scratch = SegmentScratch()
        try volume.withSegments(
            offset: UInt64(block * Block.bytes), count: count * Block.bytes, using: &scratch
        ) { _ in }
    }

    private func touch(_ chunk: Int, _ first: UInt8, _ count: UInt8) -> BootProfile.Touch {
        BootProfile.Touch(chunk: remote.map.chunks[chunk].digest, first: first, count: count)
    }

    @Test func firstTouchesAreKeptInOrder() throws {
        try store.addImage("i", remote)
        let volume = try store.clone(image: "i", as: "v")
        try read(volume, 0, 4)
        try volume.write([UInt8](repeating: 1, count: 8192), at: UInt64(33 * Block.bytes))
        let recorder = try store.record(volume: "v")
        try read(volume, 20, 2)
        try read(volume, 0, 1)
        try read(volume, 20, 4)
        try read(volume, 14, 4)
        try read(volume, 32, 4)
        try read(volume, 62, 100)
        #expect(recorder.touchedBlocks == 2 + 1 + 2 + 4 + 2 + 2)
        try store.remove("v")
        try store.remove("i")
        recorder.stop()
        #expect(!recorder.isRecording)
        let profile = try recorder.profile()
        #expect(
            profile.touches == [
                touch(1, 4, 2), touch(0, 0, 1), touch(1, 6, 2), touch(0, 14, 2), touch(1, 0, 2),
                touch(2, 0, 1), touch(2, 3, 1), touch(3, 14, 2),
            ])
        #expect(try BootProfile(decoding: profile.encode()) == profile)
    }

    @Test func nothingIsTakenDownAfterTheEndNorWhatTheVolumeWrote() throws {
        try store.addImage("i", remote)
        let volume = try store.clone(image: "i", as: "v")
        let first = try store.record(volume: "v")
        let recorder = try store.record(volume: "v")
        #expect(!first.isRecording)
        try volume.write([UInt8](repeating: 1, count: 4096), at: 4096)
        _ = try store.snapshot(volume: "v", as: "j")
        try read(volume, 0, 3)
        try store.waitUntilSealed("j")
        try read(volume, 16, 1)
        #expect(try recorder.profile().touches == [touch(0, 0, 1), touch(0, 2, 1), touch(1, 0, 1)])
        recorder.stop()
        try read(volume, 32, 1)
        #expect(recorder.touchedBlocks == 3 && first.touchedBlocks == 0)
    }

    @Test func whatIsWrittenInPartIsTouched() throws {
        try store.addImage("i", remote)
        try remote.deliver(BlockRange(start: 0, count: 64), to: store, image: "i")
        let volume = try store.clone(image: "i", as: "v")
        let recorder = try store.record(volume: "v")
        try volume.write([1, 2, 3], at: 5000)
        #expect(try recorder.profile().touches == [touch(0, 1, 1)])
    }

    @Test func theListIsBounded() throws {
        let blocks = UInt32(2 * TouchRecorder.maximumRanges + 10)
        let image = Snapshot(
            id: 1, blockCount: blocks, configuration: [], source: "", created: 0, chunks: store.chunks,
            content: .broken("test"))
        let recorder = TouchRecorder(image: image, sealer: store.sealer)
        for block in stride(from: 0, to: blocks, by: 2) { recorder.note(BlockRange(start: block, count: 1)) }
        #expect(recorder.touchedBlocks == TouchRecorder.maximumRanges && !recorder.isRecording)
    }

    @Test func profilesAreKeptWithTheirContent() throws {
        try store.addImage("i", remote)
        try store.addImage("same", remote)
        #expect(try store.profile(ofImage: "i") == nil)
        let profile = BootProfile([touch(1, 0, 4), touch(0, 2, 1), touch(1, 2, 6)])
        #expect(profile.touches == [touch(1, 0, 4), touch(0, 2, 1), touch(1, 4, 4)])
        try store.setProfile(profile, ofImage: "i")
        #expect(try store.profile(ofImage: "same") == profile)
        try store.remove("i")
        #expect(try store.profile(ofImage: "same") == profile)
        try store.remove("same")
        #expect(try Directories.names(in: store.root + "/profiles").isEmpty)
    }

    @Test func damagedProfilesAreRefused() throws {
        let bytes = BootProfile([touch(0, 0, 1), touch(1, 3, 2)]).encode()
        for length in 0..<bytes.count {
            #expect(throws: BootProfileError.self) { try BootProfile(decoding: Array(bytes.prefix(length))) }
        }
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 0x41
            #expect(throws: BootProfileError.self) { try BootProfile(decoding: damaged) }
        }
        // A good checksum over touches that leave their chunk, and over counts that are not there.
        for (index, value) in [(16, UInt8(200)), (20, 255), (bytes.count - 5, 17), (bytes.count - 10, 9)] {
            var body = Array(bytes.dropLast(4))
            body[index] = value
            var writer = ByteWriter()
            writer.put(body)
            writer.put(CRC32C.checksum(body))
            #expect(throws: BootProfileError.self) { try BootProfile(decoding: writer.bytes) }
        }
    }
}
