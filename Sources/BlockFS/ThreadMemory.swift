// SPDX-License-Identifier: Apache-2.0

import Glibc
import Volumes

/// What a thread that answers requests keeps from one to the next, so that a request allocates nothing.
final class ThreadMemory: Sendable {
    struct Content {
        var scratch = SegmentScratch()
        /// Room for the longest answer, made by the first one that needs it.
        var buffer: UnsafeMutableRawPointer?
        let tally: Tally
        /// Keeps the tally's memory, and takes the tally back.
        fileprivate let book: TallyBook
    }

    private let key: pthread_key_t
    let book = TallyBook()

    init() {
        var key = pthread_key_t()
        let result = pthread_key_create(&key) { ThreadMemory.release($0) }
        precondition(result == 0, "pthread_key_create: \(result)")
        self.key = key
    }

    // Every thread that used the key has ended by then: libfuse's and those of `ParkedRequests` are joined.
    deinit { pthread_key_delete(key) }

    /// The calling thread's own.
    func current() -> UnsafeMutablePointer<Content> {
        if let known = pthread_getspecific(key) { return known.assumingMemoryBound(to: Content.self) }
        let content = UnsafeMutablePointer<Content>.allocate(capacity: 1)
        content.initialize(to: Content(tally: book.take(), book: book))
        pthread_setspecific(key, content)
        return content
    }

    private static func release(_ pointer: UnsafeMutableRawPointer?) {
        guard let content = pointer?.assumingMemoryBound(to: Content.self) else { return }
        free(content.pointee.buffer)
        content.pointee.book.giveBack(content.pointee.tally)
        content.deinitialize(count: 1)
        content.deallocate()
    }
}
