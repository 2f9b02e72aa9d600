// SPDX-License-Identifier: Apache-2.0

import Base

/// One change of a directory tree, or a promise about it, as a process made it.
enum Event {
    /// A file comes to be; nil for one without a name.
    case create(inode: Int, path: String?)
    case makeDirectory(path: String)
    case write(inode: Int, offset: Int, bytes: [UInt8])
    case truncate(inode: Int, size: Int)
    case punch(inode: Int, offset: Int, count: Int)
    case link(inode: Int, path: String)
    case rename(from: String, to: String)
    case unlink(path: String)
    /// All that was done to the file before event `since` is on the disk now.
    case flush(inode: Int, since: Int)
    /// All names of the directory that there were before event `since` are on the disk now.
    case flushDirectory(path: String, since: Int)
    /// The process has told somebody that so many steps are done.
    case acknowledged(steps: Int)
}

/// Reads what strace(1) saw of one process.
struct Trace {
    private(set) var events: [Event] = []
    private let root: String
    private let acknowledgements: String
    /// Open files: a number of the process is an inode, or a directory.
    private var inodes: [Int: Int] = [:]
    private var directories: [Int: String] = [:]
    private var names: [String: Int] = [:]
    private var acknowledgers: Set<Int> = []
    private var nextInode = 1
    private var unfinished: [String: (text: [UInt8], since: Int)] = [:]
    private(set) var strange: [String] = []

    /// - Parameters:
    ///   - root: the tree that counts.
    ///   - acknowledgements: the file into which the process writes the numbers of steps.
    init(_ log: [UInt8], root: String, acknowledgements: String) {
        self.root = root
        self.acknowledgements = acknowledgements
        for line in log.split(separator: UInt8(ascii: "\n")) { read(line) }
    }

    /// `PID call(arguments) = result`, or one of the two halves of it.
    private mutating func read(_ line: ArraySlice<UInt8>) {
        guard let space = line.firstIndex(of: UInt8(ascii: " ")) else { return }
        let process = String(decoding: line[..<space], as: UTF8.self)
        let rest = line[space...].drop { $0 == UInt8(ascii: " ") }
        if rest.suffix(14).elementsEqual(" <unfinished ...>".utf8.suffix(14)) {
            unfinished[process] = (Array(rest.dropLast(17)), events.count)
        } else if rest.starts(with: "<... ".utf8) {
            guard let (head, since) = unfinished.removeValue(forKey: process),
                let end = rest.firstIndex(of: UInt8(ascii: ">"))
            else { return }
            call(Call(ArraySlice(head + rest[(end + 1)...])), since)
        } else {
            call(Call(rest), events.count)
        }
    }

    private mutating func call(_ call: Call?, _ since: Int) {
        guard let call, call.result >= 0 else { return }
        switch call.name {
        case "openat": open(call)
        case "close": forget(call.number(0))
        case "write": write(call, offset: nil)
        case "pwrite64": write(call, offset: call.number(3))
        case "ftruncate":
            if let inode = inodes[call.number(0)] { add(.truncate(inode: inode, size: call.number(1))) }
        case "fallocate": allocate(call)
        case "fsync", "fdatasync": flush(call.number(0), since)
        case "rename", "renameat", "renameat2": rename(call)
        case "unlink", "unlinkat": if let path = inside(call.paths.last) { unlink(path) }
        case "mkdir", "mkdirat": if let path = inside(call.paths.last) { add(.makeDirectory(path: path)) }
        case "linkat": link(call)
        default: strange.append(call.name)
        }
    }

    private mutating func add(_ event: Event) {
        events.append(event)
    }

    private func inside(_ path: String?) -> String? {
        guard let path, path.hasPrefix(root + "/") || path == root else { return nil }
        return String(path.dropFirst(root.count))
    }

    private mutating func forget(_ descriptor: Int) {
        inodes[descriptor] = nil
        directories[descriptor] = nil
        acknowledgers.remove(descriptor)
    }

    private mutating func open(_ call: Call) {
        forget(call.result)
        guard let path = call.paths.first else { return }
        if path == acknowledgements { acknowledgers.insert(call.result) }
        guard let name = inside(path) else { return }
        let flags = call.flags
        if flags.contains("O_TMPFILE") {
            inodes[call.result] = nextInode
            add(.create(inode: nextInode, path: nil))
            nextInode += 1
        } else if flags.contains("O_DIRECTORY") {
            directories[call.result] = name
        } else if let inode = names[name] {
            inodes[call.result] = inode
            if flags.contains("O_TRUNC") { add(.truncate(inode: inode, size: 0)) }
        } else if flags.contains("O_CREAT") {
            names[name] = nextInode
            inodes[call.result] = nextInode
            add(.create(inode: nextInode, path: name))
            nextInode += 1
        }
    }

    private mutating func write(_ call: Call, offset: Int?) {
        let descriptor = call.number(0)
        if acknowledgers.contains(descriptor) {
            let text = String(decoding: call.bytes, as: UTF8.self)
            return add(.acknowledged(steps: Int(text.filter(\.isNumber)) ?? 0))
        }
        guard let inode = inodes[descriptor] else { return }
        guard let offset else { return strange.append("write without an offset") }
        add(.write(inode: inode, offset: offset, bytes: Array(call.bytes.prefix(call.result))))
    }

    private mutating func allocate(_ call: Call) {
        guard let inode = inodes[call.number(0)] else { return }
        if call.text(1).contains("PUNCH_HOLE") {
            add(.punch(inode: inode, offset: call.number(2), count: call.number(3)))
        } else if !call.text(1).contains("KEEP_SIZE") {
            strange.append("fallocate that changes a length")
        }
    }

    private mutating func flush(_ descriptor: Int, _ since: Int) {
        if let inode = inodes[descriptor] { add(.flush(inode: inode, since: since)) }
        if let path = directories[descriptor] { add(.flushDirectory(path: path, since: since)) }
    }

    private mutating func rename(_ call: Call) {
        guard call.paths.count >= 2, let from = inside(call.paths[0]), let to = inside(call.paths[1]) else {
            return
        }
        names[to] = names.removeValue(forKey: from)
        add(.rename(from: from, to: to))
    }

    private mutating func unlink(_ path: String) {
        names[path] = nil
        add(.unlink(path: path))
    }

    /// From /proc/self/fd/N, a file without a name until now.
    private mutating func link(_ call: Call) {
        guard call.paths.count >= 2, let to = inside(call.paths[1]),
            let descriptor = call.paths[0].split(separator: "/").last.flatMap({ Int($0) }),
            let inode = inodes[descriptor]
        else { return strange.append("linkat") }
        names[to] = inode
        add(.link(inode: inode, path: to))
    }
}

/// One system call as strace prints it with all strings in hexadecimal (`-xx`).
struct Call {
    let name: String
    let result: Int
    private var words: [ArraySlice<UInt8>] = []

    init?(_ line: ArraySlice<UInt8>) {
        guard let open = line.firstIndex(of: UInt8(ascii: "(")),
            let equals = line.lastIndex(of: UInt8(ascii: "=")),
            let close = line[..<equals].lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        name = String(decoding: line[..<open], as: UTF8.self)
        let text = String(decoding: line[(equals + 1)...], as: UTF8.self)
        guard let value = Int(text.split(separator: " ").first ?? "") else { return nil }
        result = value
        // No string has a comma: every byte of one is \xNN.
        words = line[(open + 1)..<close].split(separator: UInt8(ascii: ","))
    }

    func text(_ index: Int) -> String {
        guard index < words.count else { return "" }
        return String(decoding: words[index].drop { $0 == UInt8(ascii: " ") }, as: UTF8.self)
    }

    func number(_ index: Int) -> Int { Int(text(index)) ?? -1 }

    /// The words that are flags of an open.
    var flags: String { words.map { String(decoding: $0, as: UTF8.self) }.first { $0.contains("O_") } ?? "" }

    /// Every string among the arguments.
    var paths: [String] {
        words.compactMap { word in
            guard word.contains(UInt8(ascii: "\"")) else { return nil }
            return String(decoding: Self.decode(word), as: UTF8.self)
        }
    }

    /// The first string among the arguments.
    var bytes: [UInt8] { words.first { $0.contains(UInt8(ascii: "\"")) }.map(Self.decode) ?? [] }

    /// `"\x61\x62"`.
    private static func decode(_ word: ArraySlice<UInt8>) -> [UInt8] {
        guard let start = word.firstIndex(of: UInt8(ascii: "\"")) else { return [] }
        return word.withUnsafeBufferPointer { all in
            let text = UnsafeBufferPointer(rebasing: all[(start - word.startIndex + 1)...])
            return [UInt8](unsafeUninitializedCapacity: text.count / 4) { bytes, count in
                count = 0
                while count * 4 + 3 < text.count, text[count * 4] == UInt8(ascii: "\\") {
                    bytes[count] = digit(text[count * 4 + 2]) << 4 | digit(text[count * 4 + 3])
                    count += 1
                }
            }
        }
    }

    private static func digit(_ byte: UInt8) -> UInt8 {
        byte <= UInt8(ascii: "9") ? byte - UInt8(ascii: "0") : byte - UInt8(ascii: "a") + 10
    }
}
