// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// Reads ranges of packs out of a directory, which may be a mount whose server has gone.
///
/// A few threads of its own read, the most urgent range first; one that hangs in the kernel holds up
/// nobody who cancels, and others go on as long as there are threads left.
public final class DirectoryPackSource: PackSource {
    struct Queue {
        /// Indexed by `FetchClass.rawValue`.
        var waiting = [[FileFetch]](repeating: [], count: FetchClass.allCases.count)
        var threads = 0
        var idle = 0
    }

    private static let maximumThreads = 4
    private static let idleSeconds = 5.0

    public let name: String
    private let directory: String
    private let queue = Monitor(Queue())

    /// - Parameter directory: laid out as a `DirectoryBackend` does; need not be there yet.
    public init(directory: String) {
        self.directory = directory
        name = "dir:" + directory
    }

    public func fetch(
        _ object: ObjectName, sizeBytes: UInt64, range: Range<UInt64>, class: FetchClass,
        to receiver: any RangeReceiver
    ) -> any FetchCancellation {
        precondition(!range.isEmpty && range.upperBound <= sizeBytes, "a range lies within its object")
        let fetch = FileFetch(
            path: directory + "/" + object.description, sizeBytes: sizeBytes, range: range, class: `class`,
            receiver: receiver, queue: queue)
        Self.enqueue(fetch, queue)
        return fetch
    }

    /// Puts a fetch in line, with a thread to work on it.
    static func enqueue(_ fetch: FileFetch, _ queue: Monitor<Queue>) {
        let mustStart = queue.withLock { queue in
            queue.waiting[Int(fetch.class.rawValue)].append(fetch)
            let waiting = queue.waiting.reduce(0) { $0 + $1.count }
            let mustStart = waiting > queue.idle && queue.threads < maximumThreads
            if mustStart { queue.threads += 1 }
            return mustStart
        }
        if !mustStart { return }
        let thread = try? NamedThread("pack-reader", detached: true) { work(queue) }
        if thread == nil {
            let isAlone = queue.withLock { queue in
                queue.threads -= 1
                return queue.threads == 0
            }
            // Somebody else gets to it; when nobody is there, it fails rather than waits for ever.
            if isAlone { fetch.fail(.unavailable("no thread to read with", retryAfterMs: 1000)) }
        }
    }

    private static func work(_ queue: Monitor<Queue>) {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: FileFetch.pieceBytes, alignment: 4096)
        defer { buffer.deallocate() }
        while let fetch = next(queue) { fetch.run(buffer) }
    }

    /// The most urgent range that waits; nil when there was none for a while, and the thread is to end.
    private static func next(_ queue: Monitor<Queue>) -> FileFetch? {
        queue.withLock { $0.idle += 1 }
        let fetch = queue.wait(until: .now.advanced(bySeconds: idleSeconds)) { queue -> FileFetch? in
            guard let index = queue.waiting.firstIndex(where: { !$0.isEmpty }) else { return nil }
            queue.idle -= 1
            return queue.waiting[index].removeFirst()
        }
        if fetch != nil { return fetch }
        let isDone = queue.withLock { queue in
            queue.idle -= 1
            let isDone = queue.waiting.allSatisfy(\.isEmpty)
            if isDone { queue.threads -= 1 }
            return isDone
        }
        return isDone ? nil : next(queue)
    }
}

extension DirectoryBackend {
    /// The same directory as a source of ranges.
    public func packSource() -> DirectoryPackSource {
        DirectoryPackSource(directory: directory)
    }
}
