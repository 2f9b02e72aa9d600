// SPDX-License-Identifier: Apache-2.0

import Base
import Glibc

/// Takes away, in the background, what is left of containers whose volume nobody wants: their bundles and the
/// mounts in them.
///
/// The bundle of such a container moves aside, so its name is free at once. Blocks; for plain threads.
final class EndedContainers: Sendable {
    private struct State {
        var waiting: [String] = []
        var isBusy = false
        var hasThread = false
    }

    /// Bundles that may wait before whoever ends the next container waits too: each holds a loop device.
    private static let limit = 32

    let directory: String
    private let state = Monitor(State())

    /// - Parameter directory: on the file system of the bundles.
    init(directory: String) {
        self.directory = directory
    }

    /// Moves a bundle out of the way, with the root that is mounted in it; `discard` comes next.
    func moveAside(_ bundle: String) throws(SystemError) -> String {
        let place = "\(directory)/\(UInt64.random(in: 0...UInt64.max))"
        if rename(bundle, place) < 0 {
            guard errno == ENOENT else { throw SystemError.last("rename", bundle) }
            try Directories.create(directory)
            if rename(bundle, place) < 0 { throw SystemError.last("rename", bundle) }
        }
        return place
    }

    /// Takes a bundle away soon.
    func discard(_ bundle: String) {
        let mustStart = state.withLock { state in
            state.waiting.append(bundle)
            defer { state.hasThread = true }
            return !state.hasThread
        }
        if mustStart {
            let isStarted = (try? NamedThread("ended", detached: true) { [self] in run() }) != nil
            if !isStarted { state.withLock { $0.hasThread = false } }
        }
        _ = state.wait { $0.waiting.count <= Self.limit || !$0.hasThread ? true : nil }
    }

    /// Waits until nothing is left to take away.
    func finish(seconds: Double) {
        _ = state.wait(until: .now.advanced(bySeconds: seconds)) { state in
            (state.waiting.isEmpty && !state.isBusy) || !state.hasThread ? true : nil
        }
    }

    private func run() {
        while true {
            let bundles = state.wait { state -> [String]? in
                state.isBusy = false
                if state.waiting.isEmpty { return nil }
                state.isBusy = true
                defer { state.waiting = [] }
                return state.waiting
            }
            do throws(Failure) {
                for note in try Self.discard(bundles).notes ?? [] {
                    Log.warning("containers", "something is left until the next start", ["what": note])
                }
            } catch {
                Log.warning("containers", "bundles are left until the next start", ["reason": "\(error)"])
            }
        }
    }

    /// A second child does what one that was killed has left.
    private static func discard(_ bundles: [String]) throws(Failure) -> InternalAnswer {
        do throws(Failure) { return try Child.run(.discard(bundles)) } catch {
            return try Child.run(.discard(bundles))
        }
    }
}
