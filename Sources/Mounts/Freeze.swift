// SPDX-License-Identifier: Apache-2.0

import Base
import CLinux
import Glibc

/// Holds a mounted file system still for a moment: everything written so far is on the block device, and
/// writers wait.
///
/// Blocks; never call it in the process that serves the device.
public enum Freeze {
    /// Freezes, runs the body, thaws.
    ///
    /// The thaw happens whatever the body does: when it throws, and when it takes longer than the guard
    /// allows, in which case the result counts for nothing and an error is thrown.
    /// - Parameters:
    ///   - directory: any directory of the file system, usually its mount point.
    ///   - guardSeconds: how long writers may be held up at the most.
    public static func run<T>(
        _ directory: String, guardSeconds: Double = 10, _ body: () throws(MountsError) -> T
    ) throws(MountsError) -> T {
        precondition(guardSeconds > 0, "the guard needs time")
        let file = try MountsError.wrapping { () throws(SystemError) in
            try OwnedFD(open: directory, O_RDONLY | O_DIRECTORY)
        }
        if retrying({ slk_ioctl_int(file.raw, UInt(SLK_FIFREEZE), 0) }) < 0 {
            throw .last("FIFREEZE", directory)
        }
        let watch = Watch(descriptor: file.raw)
        let thread: NamedThread
        do throws(SystemError) {
            thread = try NamedThread("freeze-guard") { watch.thawWhenDue(seconds: guardSeconds) }
        } catch {
            watch.thaw()
            throw .system(error)
        }
        let result: Result<T, MountsError>
        do throws(MountsError) { result = .success(try body()) } catch { result = .failure(error) }
        let expired = watch.thaw()
        thread.join()
        if expired { throw .freezeExpired(directory: directory, seconds: guardSeconds) }
        return try result.get()
    }

    /// Lifts a freeze that a killed process left behind; a file system that is not frozen is no error.
    public static func thaw(_ directory: String) throws(MountsError) {
        let file = try MountsError.wrapping { () throws(SystemError) in
            try OwnedFD(open: directory, O_RDONLY | O_DIRECTORY)
        }
        if slk_ioctl_int(file.raw, UInt(SLK_FITHAW), 0) < 0, errno != EINVAL {
            throw .last("FITHAW", directory)
        }
    }

    /// Thaws exactly once, either when the work is done or when its time is up.
    private final class Watch: Sendable {
        private struct State {
            var isThawed = false
            var hasExpired = false
        }
        private let descriptor: Int32
        private let state = Monitor(State())

        init(descriptor: Int32) {
            self.descriptor = descriptor
        }

        func thawWhenDue(seconds: Double) {
            let deadline = MonotonicTime.now.advanced(bySeconds: seconds)
            let done: Bool? = state.wait(until: deadline) { $0.isThawed ? true : nil }
            if done != nil { return }
            state.withLock { state in
                guard !state.isThawed else { return }
                state.isThawed = true
                state.hasExpired = true
                _ = slk_ioctl_int(descriptor, UInt(SLK_FITHAW), 0)
            }
        }

        /// True when the guard was faster.
        @discardableResult
        func thaw() -> Bool {
            state.withLock { state in
                if !state.isThawed {
                    state.isThawed = true
                    _ = slk_ioctl_int(descriptor, UInt(SLK_FITHAW), 0)
                }
                return state.hasExpired
            }
        }
    }
}
