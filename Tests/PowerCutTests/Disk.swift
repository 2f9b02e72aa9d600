// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc
import TestSupport

/// What a power cut may leave of a directory tree.
///
/// The rules are POSIX's with a journal for names: what a flush of the file covered is there; of what was written since,
/// any pages may be, the last of them in part; names come and go in the order in which they did, up to any moment since
/// the last flush of their directory. A change of a file's length or a hole counts as a write.
struct Disk {
    /// Pages that are not there are zeros.
    struct Content {
        static let pageBytes = 4096
        var size = 0
        var pages: [Int: [UInt8]] = [:]

        mutating func write(_ offset: Int, _ bytes: ArraySlice<UInt8>) {
            size = max(size, offset + bytes.count)
            var position = offset
            var rest = bytes
            while !rest.isEmpty {
                let (page, start) = (position / Self.pageBytes, position % Self.pageBytes)
                let part = rest.prefix(Self.pageBytes - start)
                var content = pages[page] ?? [UInt8](repeating: 0, count: Self.pageBytes)
                content.replaceSubrange(start..<start + part.count, with: part)
                pages[page] = content
                position += part.count
                rest = rest.dropFirst(part.count)
            }
        }

        mutating func truncate(_ size: Int) {
            if size < self.size {
                zero(size, self.size - size)
                pages = pages.filter { $0.key * Self.pageBytes < size }
            }
            self.size = size
        }

        mutating func zero(_ offset: Int, _ count: Int) {
            let end = offset + count
            for page in pages.keys where page * Self.pageBytes < end && (page + 1) * Self.pageBytes > offset {
                let first = max(offset - page * Self.pageBytes, 0)
                let last = min(end - page * Self.pageBytes, Self.pageBytes)
                if first == 0, last == Self.pageBytes {
                    pages[page] = nil
                } else {
                    pages[page]?.replaceSubrange(first..<last, with: repeatElement(0, count: last - first))
                }
            }
        }

        mutating func apply(_ event: Event) {
            switch event {
            case .write(_, let offset, let bytes): write(offset, bytes[...])
            case .truncate(_, let size): truncate(size)
            case .punch(_, let offset, let count): zero(offset, count)
            default: break
            }
        }
    }

    private struct File {
        var durable = Content()
        /// Changes that no flush has covered, with the number of the event.
        var pending: [(number: Int, event: Event)] = []
    }

    private var files: [Int: File] = [:]
    /// Names as the last flush of a directory made them, and what was done to names since then.
    private var names: [String: Int] = [:]
    private var directories: Set<String> = []
    private var pendingNames: [(number: Int, event: Event)] = []
    private(set) var acknowledged = 0
    /// Flushes are believed; a disk that lies keeps nothing for certain.
    let isHonest: Bool

    init(isHonest: Bool = true) {
        self.isHonest = isHonest
    }

    /// How much of what was not flushed is there.
    enum Luck {
        /// Everything: the order of the program.
        case all
        /// Nothing that need not be.
        case none
        /// Any part.
        case some
    }

    mutating func apply(_ event: Event, _ number: Int) {
        switch event {
        case .create(let inode, _):
            files[inode] = File()
            pendingNames.append((number, event))
        case .makeDirectory, .rename, .unlink, .link: pendingNames.append((number, event))
        case .write(let inode, _, _), .truncate(let inode, _), .punch(let inode, _, _):
            files[inode]?.pending.append((number, event))
        case .flush(let inode, let since):
            guard isHonest, var file = files[inode] else { return }
            for (_, change) in file.pending.filter({ $0.number < since }) { file.durable.apply(change) }
            file.pending.removeAll { $0.number < since }
            files[inode] = file
        case .flushDirectory(let path, let since): if isHonest { flushNames(path, since) }
        case .acknowledged(let steps): acknowledged = steps
        }
    }

    /// Names are journaled in order, so all before the last one of this directory are there as well.
    private mutating func flushNames(_ path: String, _ since: Int) {
        guard let last = pendingNames.lastIndex(where: { $0.number < since && Self.touches($0.event, path) })
        else {
            return
        }
        for (_, event) in pendingNames[...last] { Self.apply(event, &names, &directories) }
        pendingNames.removeFirst(last + 1)
    }

    private static func touches(_ event: Event, _ directory: String) -> Bool {
        switch event {
        case .create(_, let path?), .makeDirectory(let path), .link(_, let path), .unlink(let path):
            Directories.parent(of: path) == (directory.isEmpty ? "/" : directory)
        case .rename(let from, let to):
            [from, to].contains { Directories.parent(of: $0) == (directory.isEmpty ? "/" : directory) }
        default: false
        }
    }

    private static func apply(_ event: Event, _ names: inout [String: Int], _ directories: inout Set<String>)
    {
        switch event {
        case .create(let inode, let path?), .link(let inode, let path): names[path] = inode
        case .makeDirectory(let path): directories.insert(path)
        case .rename(let from, let to): names[to] = names.removeValue(forKey: from)
        case .unlink(let path):
            names[path] = nil
            directories.remove(path)
        default: break
        }
    }

    /// Writes a tree as a power cut at this moment may leave it.
    func materialise(at path: String, _ luck: Luck, _ random: inout SplitMix) throws {
        var (names, directories) = (names, directories)
        let count: Int
        switch luck {
        case .all: count = pendingNames.count
        case .none: count = 0
        case .some: count = pendingNames.isEmpty ? 0 : random.below(pendingNames.count + 1)
        }
        for (_, event) in pendingNames[..<count] { Self.apply(event, &names, &directories) }
        try Directories.create(path)
        for directory in directories.sorted() where !directory.isEmpty {
            try Directories.create(path + directory)
        }
        for (name, inode) in names where Directories.isDirectory(Directories.parent(of: path + name)) {
            // What SQLite shares between processes it makes anew from its log.
            if name.hasSuffix("-shm") { continue }
            try Self.write(content(inode, luck, &random), to: path + name)
        }
    }

    private func content(_ inode: Int, _ luck: Luck, _ random: inout SplitMix) -> Content {
        guard let file = files[inode] else { return Content() }
        var content = file.durable
        switch luck {
        case .none: break
        case .all: for (_, event) in file.pending { content.apply(event) }
        case .some: Self.applySome(file.pending.map(\.event), &content, &random)
        }
        return content
    }

    /// A page goes to the disk as memory had it at some moment, and the length as it was at one more.
    ///
    /// One page in eight is torn: each of its sectors is of a moment of its own.
    private static func applySome(_ events: [Event], _ content: inout Content, _ random: inout SplitMix) {
        if events.isEmpty { return }
        var touched: Set<Int> = []
        var sized = content
        sized.pages = [:]
        let moment = random.below(events.count + 1)
        for (index, event) in events.enumerated() {
            if case .write(_, let offset, let bytes) = event, !bytes.isEmpty {
                touched.formUnion(offset / Content.pageBytes...(offset + bytes.count - 1) / Content.pageBytes)
                if index < moment { sized.size = max(sized.size, offset + bytes.count) }
            } else if case .truncate(_, let size) = event {
                touched.formUnion(content.pages.keys.filter { ($0 + 1) * Content.pageBytes > size })
                if index < moment { sized.size = size }
            } else if case .punch(_, let offset, let count) = event {
                touched.formUnion(
                    content.pages.keys.filter {
                        $0 * Content.pageBytes < offset + count && ($0 + 1) * Content.pageBytes > offset
                    })
            }
        }
        for page in touched.sorted() {
            var bytes = content.pages[page] ?? [UInt8](repeating: 0, count: Content.pageBytes)
            if random.below(8) > 0 {
                replay(events[..<random.below(events.count + 1)], page, &bytes)
            } else {
                let before = bytes
                for sector in 0..<8 {
                    var other = before
                    replay(events[..<random.below(events.count + 1)], page, &other)
                    let part = sector * 512..<(sector + 1) * 512
                    bytes.replaceSubrange(part, with: other[part])
                }
            }
            content.pages[page] = bytes
        }
        content.size = sized.size
    }

    /// What the events make of one page.
    private static func replay(_ events: ArraySlice<Event>, _ page: Int, _ bytes: inout [UInt8]) {
        let base = page * Content.pageBytes
        for event in events {
            switch event {
            case .write(_, let offset, let new):
                let first = max(offset, base)
                let last = min(offset + new.count, base + Content.pageBytes)
                if first < last {
                    bytes.replaceSubrange(
                        first - base..<last - base, with: new[first - offset..<last - offset])
                }
            case .truncate(_, let size): zero(size, .max, base, &bytes)
            case .punch(_, let offset, let count): zero(offset, offset + count, base, &bytes)
            default: break
            }
        }
    }

    private static func zero(_ start: Int, _ end: Int, _ base: Int, _ bytes: inout [UInt8]) {
        let first = max(start, base)
        let last = min(end, base + Content.pageBytes)
        if first < last {
            bytes.replaceSubrange(first - base..<last - base, with: repeatElement(0, count: last - first))
        }
    }

    private static func write(_ content: Content, to path: String) throws {
        let file = try Base.File(open: path, O_RDWR | O_CREAT | O_TRUNC)
        try file.truncate(to: UInt64(content.size))
        for (page, bytes) in content.pages where page * Content.pageBytes < content.size {
            let count = min(Content.pageBytes, content.size - page * Content.pageBytes)
            try file.write(
                count == bytes.count ? bytes : Array(bytes[..<count]), at: UInt64(page * Content.pageBytes))
        }
    }
}
