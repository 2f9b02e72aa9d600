// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks
import GRDB
import Testing

@testable import Volumes

/// Keys of other programs: rows that live and die with their volume or image.
@Suite struct KeyTests {
    private let directory: TestDirectory

    init() throws {
        directory = try TestDirectory()
    }

    private func open() throws -> VolumeStore { try VolumeStore(root: directory.path + "/root") }

    /// A store with an image `base` of some blocks.
    private func make() throws -> VolumeStore {
        let store = try open()
        _ = try store.addImage("base", content: [UInt8](repeating: 7, count: 8 * Block.bytes))
        return store
    }

    private func error(_ body: () throws -> Void) -> String {
        do {
            try body()
            return "none"
        } catch let error as KeyError {
            return switch error {
            case .exists: "exists"
            case .notFound: "not found"
            case .precondition: "precondition"
            case .invalid: "invalid"
            case .store: "store"
            }
        } catch {
            return "\(error)"
        }
    }

    @Test func keysSurviveWithWhatTheyStandFor() throws {
        let first = try make()
        let active = try first.prepareKey("a", parent: "", base: "base", labels: ["x": "y"])
        try first.blockFile(volume: active.entry).write([1, 2, 3], at: 5000)
        let committed = try first.commitKey(
            "a", as: "b", usage: KeyUsage(bytes: 4096, inodes: 1), labels: [:])
        _ = try first.prepareKey("c", parent: "b", base: "", labels: ["l": "1"])
        _ = try first.viewKey("v", parent: "b", base: "", labels: [:])
        first.close()
        _ = consume first

        let store = try open()
        #expect(try store.keys().map(\.key) == ["b", "c", "v"])
        #expect(try store.key("b") == committed)
        let entry = try store.key("c").entry
        let content = try store.blockFile(volume: entry).content()
        #expect(Array(content[4999..<5004]) == [7, 1, 2, 3, 7])
        #expect(try store.key("v").entry == committed.entry)
        #expect(try store.key(ofEntry: entry) == "c")
        #expect(store.images().map(\.name).sorted() == ["base", committed.entry].sorted())
        #expect(error { try store.removeKey("b") } == "precondition")
        for key in ["c", "v", "b"] { try store.removeKey(key) }
        #expect(store.images().map(\.name) == ["base"] && store.volumes().isEmpty)
        #expect(try store.keys().isEmpty)
    }

    @Test func callsThatMakeNoSense() throws {
        let store = try make()
        _ = try store.prepareKey("a", parent: "", base: "base", labels: [:])
        #expect(error { _ = try store.prepareKey("a", parent: "", base: "base", labels: [:]) } == "exists")
        #expect(error { _ = try store.prepareKey("b", parent: "a", base: "", labels: [:]) } == "invalid")
        #expect(error { _ = try store.viewKey("b", parent: "none", base: "", labels: [:]) } == "not found")
        #expect(
            error { _ = try store.commitKey("none", as: "b", usage: KeyUsage(), labels: [:]) } == "not found")
        _ = try store.commitKey("a", as: "b", usage: KeyUsage(), labels: [:])
        #expect(
            error { _ = try store.commitKey("b", as: "c", usage: KeyUsage(), labels: [:]) } == "precondition")
        #expect(error { _ = try store.prepareKey("", parent: "", base: "base", labels: [:]) } == "invalid")
    }

    /// The key's row is in the way: nothing of the volume is there either, and so for the image of a commit.
    @Test func aCallIsOneTransaction() throws {
        let store = try make()
        let active = try store.prepareKey("a", parent: "", base: "base", labels: [:])
        try store.blockFile(volume: active.entry).write([1], at: 0)
        let block = "CREATE TRIGGER stop BEFORE INSERT ON keys BEGIN SELECT RAISE(ABORT, 'stop'); END"
        try store.registry.catalog.transaction { try $0.execute(sql: block) }
        #expect(error { _ = try store.prepareKey("b", parent: "", base: "base", labels: [:]) } == "store")
        #expect(error { _ = try store.commitKey("a", as: "c", usage: KeyUsage(), labels: [:]) } == "store")
        #expect(store.volumes().map(\.name) == [active.entry] && store.images().map(\.name) == ["base"])
        try store.registry.catalog.transaction { try $0.execute(sql: "DROP TRIGGER stop") }
        let committed = try store.commitKey("a", as: "c", usage: KeyUsage(), labels: [:])
        #expect(try store.content(image: committed.entry)[0] == 1)
        #expect(store.volumes().isEmpty)
    }

    @Test func aRegisteredKeyGetsItsImageLater() throws {
        let store = try make()
        _ = try store.registerKey(
            "low", parent: "", image: nil, origin: "host/image", depth: 1, usage: KeyUsage(), labels: [:])
        let top = try store.registerKey(
            "top", parent: "low", image: "base", origin: "host/image", depth: 2, usage: KeyUsage(),
            labels: [:])
        #expect(try store.content(image: top.entry)[0] == 7)
        #expect(
            error { _ = try store.prepareKey("a", parent: "low", base: "", labels: [:]) } == "precondition")
        try store.setImage("base", ofKey: "low")
        _ = try store.prepareKey("a", parent: "low", base: "", labels: [:])
        // The image that people see may go.
        try store.remove("base")
        #expect(try store.content(image: top.entry)[0] == 7)
    }
}
