// SPDX-License-Identifier: Apache-2.0

import CLinux
import Glibc

/// A plain operating-system thread with a name that shows in `ps -L` and `perf`.
///
/// Blocking C calls run on these and never on Swift's cooperative pool, which has one thread for each core.
public final class NamedThread: @unchecked Sendable {
    // Unchecked because: `handle` is written once, before `init` returns.
    private var handle = pthread_t()

    /// Starts the thread at once.
    /// - Parameters:
    ///   - name: at most 15 bytes, the kernel's limit.
    ///   - detached: nobody will `join` the thread; it cleans up after itself.
    public init(
        _ name: String, stackBytes: Int = 512 * 1024, detached: Bool = false,
        _ body: @escaping @Sendable () -> Void
    ) throws(SystemError) {
        precondition(name.utf8.count <= 15, "the kernel cuts longer thread names")
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, stackBytes)
        if detached { pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED)) }
        let box = Unmanaged.passRetained(Body(name, body))
        let result = pthread_create(&handle, &attributes, Self.main, box.toOpaque())
        if result != 0 {
            box.release()
            throw SystemError(result, "pthread_create", name)
        }
    }

    /// Waits for the thread to end; call it once, and never on a detached thread.
    public func join() {
        pthread_join(handle, nil)
    }

    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void
        init(_ name: String, _ run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }

    private static let main: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = {
        argument in
        guard let argument else { return nil }
        let body = Unmanaged<Body>.fromOpaque(argument).takeRetainedValue()
        pthread_setname_np(pthread_self(), body.name)
        body.run()
        return nil
    }
}
