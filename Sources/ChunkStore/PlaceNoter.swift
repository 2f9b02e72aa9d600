// SPDX-License-Identifier: Apache-2.0

import Base
import Blocks

/// Writes the places of a table into the book of a chunk table, batch by batch.
struct PlaceNoter {
    private let table: PlaceTable
    private let sources: [SourceID]
    /// First byte behind the chunks of the boot pack that are laid out by first touches.
    private let bootEnd: UInt64

    init(_ table: PlaceTable, _ sources: [SourceID]) {
        self.table = table
        self.sources = sources
        bootEnd =
            table.bootOrder.last.flatMap { table.places[$0] }.map { $0.offset + UInt64($0.byteCount) } ?? 0
    }

    func knowsPlace(of chunk: Int) -> Bool { table.places[chunk] != nil }

    /// Whether somebody is said to have the chunk.
    func canFetch(_ chunk: Int) -> Bool { !sources.isEmpty && table.places[chunk] != nil }

    /// Notes for one stay under the lock of the chunk table, so that numbers of packs stay good.
    struct Batch {
        private let noter: PlaceNoter
        private let book: PlaceBook
        private var numbers: [UInt32?]

        fileprivate init(_ noter: PlaceNoter, _ book: PlaceBook) {
            self.noter = noter
            self.book = book
            numbers = Array(repeating: nil, count: noter.table.packs.count)
        }

        /// Notes the place of a chunk of the table's map, if it has one.
        mutating func note(_ chunk: Int, for handle: UInt32) {
            guard let place = noter.table.places[chunk], let number = number(of: place.pack) else { return }
            book.add(place, pack: number, to: handle)
        }

        private mutating func number(of pack: Int) -> UInt32? {
            if let number = numbers[pack] { return number }
            let boot = pack == noter.table.bootPack ? noter.bootEnd : 0
            numbers[pack] = book.intern(noter.table.packs[pack], noter.sources, bootEnd: boot)
            return numbers[pack]
        }

        /// Forgets packs in which no place came to lie.
        func finish() {
            for case let number? in numbers { book.dropIfUnused(number) }
        }
    }

    func begin(_ chunks: ChunkTable) -> Batch { Batch(self, chunks.places) }
}

/// Collects the places of a map's chunks into a table.
struct PlaceCollector {
    private let source: SourceID?
    private var packs: [PackInfo] = []
    private var numbers: [PackInfo: Int] = [:]
    private var bootEnds: [UInt64] = []
    private var places: [Place?] = []

    init(_ source: SourceID?) {
        self.source = source
    }

    mutating func add(_ handle: UInt32?, _ book: PlaceBook) {
        guard let handle, let (found, bootEnd) = book.place(of: handle, preferring: source) else {
            places.append(nil)
            return
        }
        let number = numbers[found.pack] ?? packs.count
        if number == packs.count {
            numbers[found.pack] = number
            packs.append(found.pack)
            bootEnds.append(bootEnd)
        }
        places.append(
            Place(
                pack: number, offset: found.offset, byteCount: UInt32(found.byteCount), coding: found.coding))
    }

    /// The table; its boot pack is the one in which most chunks were laid out by first touches.
    consuming func finish() -> PlaceTable {
        var bootChunks = [Int](repeating: 0, count: packs.count)
        for case let place? in places where place.offset < bootEnds[place.pack] {
            bootChunks[place.pack] += 1
        }
        let most = bootChunks.max() ?? 0
        let boot = most > 0 ? bootChunks.firstIndex(of: most) : nil
        return PlaceTable(packs: packs, places: places, bootPack: boot, bootChunks: most)
    }
}
